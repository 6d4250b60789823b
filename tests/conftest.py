"""What all tests share. Its being here also puts this folder on the import path (tiny_sam3, ...)."""
