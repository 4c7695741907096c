//! Sepal: from a folder of images to a small, fast classifier.
