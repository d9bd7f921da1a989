"""How complete a set is, what is still missing, and where to look for it."""
