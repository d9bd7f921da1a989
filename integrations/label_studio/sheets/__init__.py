"""The push mode `sheets`: mined boxes as crops on contact sheets, in a separate project."""
