"""Training and evaluation. Import the modules directly: they pull in torch and detectron2."""
