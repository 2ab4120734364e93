"""Reports without what takes most of the time of a short run: the pixels of plots, and a heat map for each picture.

They are whole in the commands that run in a process of their own, and in the tests of plots and of heat maps.
"""

import numpy as np


class Canvas:
    """Takes a figure and does not draw it."""

    def __init__(self, figure):
        assert figure.axes

    def print_png(self, file, metadata):
        file.write(b"png")


def make_reports_light(patch):
    """Leave plots undrawn, and give all pictures of a gallery the heat map of the first."""
    from hscl_fast.evaluation.report import figure, heat

    every = heat.heat_maps

    def of_the_first(scorer, images):
        return np.repeat(every(scorer, images[:1]), len(images), axis=0)

    patch.setattr(figure, "FigureCanvasAgg", Canvas)
    patch.setattr(heat, "heat_maps", of_the_first)
