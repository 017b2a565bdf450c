"""Condensed sets that came from elsewhere: their manifest, the order of their classes, their pixels, reading them."""
