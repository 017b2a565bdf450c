"""Writing a condensed set in the forms in which others keep theirs; each is read again by its manifest."""
