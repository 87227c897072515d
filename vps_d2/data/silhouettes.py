NUM_MEASURES = 10


def measure_silhouettes(masks, class_ids):
    raise NotImplementedError
