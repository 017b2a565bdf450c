"""Training networks from scratch: recipes, views, label sources, the loop. Shared by squeeze and every evaluation."""
