"""Getting at datasets: cards, layouts on disk, decoding, the cache of decoded images, downloads, archives."""
