"""What runs would take: trials of their loops, and the rest foretold from them."""
