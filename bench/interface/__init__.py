"""What `import bench` offers by calls: the commands of the command line, and condensed sets to train on."""
