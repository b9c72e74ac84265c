"""Records and answers as others read them, and bundles whose every number can be made again anywhere."""
