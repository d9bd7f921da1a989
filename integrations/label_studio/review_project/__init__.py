"""Review-project mode: mined boxes in a copy of the project, for any number of reviewers."""
