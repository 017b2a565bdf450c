"""What is drawn of each image at each step: crops, colours, erasing, DSA, RandAugment, AugMax."""
