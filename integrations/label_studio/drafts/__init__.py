"""Draft mode: mined boxes as unsaved changes of the annotations themselves, for one account."""
