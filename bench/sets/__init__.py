"""A condensed set: its images, labels and manifest, in the form in which this project keeps them."""
