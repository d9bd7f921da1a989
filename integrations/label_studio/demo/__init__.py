"""For demos and tests only: a temporary Label Studio, projects in it, and scripted reviews."""
