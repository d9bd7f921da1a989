"""How complete the annotations are, and which images people should open next."""
