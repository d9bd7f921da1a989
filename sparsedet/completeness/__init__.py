"""How complete the annotations are, and which images people open next to make them so."""
