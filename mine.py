from dataclasses import dataclass

from pyg_mmrec import BipartiteNorm, Embeddings, Recommender, Term, option, register
from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import BPR


@register("mine", paper="...", venue="...")
class Mine(Recommender):
    @dataclass
    class Config:
        dim: int = option(64, "width of the embeddings")

    @classmethod
    def graph(cls, config):  # built once, cached by content; Compose([...]) for more
        return BipartiteNorm()

    def __init__(self, data, config):
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.propagate = Propagate(2, dim=config.dim)

    def forward(self, data):  # a function of the graph it is given
        nodes = self.user(data), self.item(data)
        return Embeddings(*self.propagate.bipartite(*nodes, adjacency(data, INTERACTS)))

    def objectives(self):
        return [Term("bpr", BPR())]
