"""Condensed sets in the forms of others: their manifest, classes and pixels read, and ours written for them."""
