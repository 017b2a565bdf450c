"""Getting at datasets: layouts on disk, decoding, the cache of decoded images, downloads, archives."""
