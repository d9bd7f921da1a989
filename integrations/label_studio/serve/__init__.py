"""The live backend: Label Studio's ML backend protocol, served from a run or a workspace."""
