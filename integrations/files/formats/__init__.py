"""COCO, Pascal VOC and YOLO, each found through the entry point group `sparsedet.formats`."""
