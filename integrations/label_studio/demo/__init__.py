"""For demos and tests only: a throw-away Label Studio, projects in it, and scripted reviews."""
