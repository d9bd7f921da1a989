"""The live backend: Label Studio's protocol for models, answered by a run or a workspace."""
