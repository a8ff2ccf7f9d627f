"""Pictures: functions that return a figure of matplotlib (extra ``plot``)."""

from pyg_mmrec.plots.comparison import plot_comparison
from pyg_mmrec.plots.contribution import plot_contribution
from pyg_mmrec.plots.density import plot_density
from pyg_mmrec.plots.embeddings import plot_embeddings
from pyg_mmrec.plots.graph import plot_graph
from pyg_mmrec.plots.heat import plot_heat
from pyg_mmrec.plots.history import plot_history
from pyg_mmrec.plots.popularity import plot_popularity
from pyg_mmrec.plots.search import plot_search
from pyg_mmrec.plots.slices import plot_slices
from pyg_mmrec.plots.style import drawn, save
from pyg_mmrec.plots.variants import plot_sweeps, plot_variants

__all__ = [
    "drawn",
    "plot_comparison",
    "plot_contribution",
    "plot_density",
    "plot_embeddings",
    "plot_graph",
    "plot_heat",
    "plot_history",
    "plot_popularity",
    "plot_search",
    "plot_slices",
    "plot_sweeps",
    "plot_variants",
    "save",
]
