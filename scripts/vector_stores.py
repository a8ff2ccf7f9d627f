"""Recipes: a run's embeddings in a vector store, and how much of the best it finds.

    pyg-mmrec export runs/mine embeddings --embeddings
    python scripts/vector_stores.py embeddings faiss lancedb qdrant pgvector

A score is an inner product, so every store is told to rank by that. Each recipe is a
function: put the items in, return what finds the ``k`` best for a user's embedding.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec import MMRecError
from pyg_mmrec.commands.guarded import guarded

Find = Callable[[np.ndarray, int], list]


def exact(ids: list, rows: np.ndarray) -> Find:
    """NumPy, for comparison."""
    return lambda user, k: [ids[i] for i in np.argsort(-(rows @ user))[:k]]


def faiss(ids: list, rows: np.ndarray) -> Find:
    """pip install faiss-cpu."""
    import faiss

    index = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 200, 128
    index.add(rows)
    return lambda user, k: [ids[i] for i in index.search(user[None], k)[1][0]]


def lancedb(ids: list, rows: np.ndarray) -> Find:
    """pip install lancedb."""
    import lancedb

    table = lancedb.connect(tempfile.mkdtemp()).create_table(
        "items", pd.DataFrame({"id": range(len(ids)), "vector": list(rows)})
    )
    table.create_index("vector", config=lancedb.index.IvfFlat(distance_type="dot"))

    def find(user: np.ndarray, k: int) -> list:
        asked = table.search(user).distance_type("dot").nprobes(20).limit(k)
        return [ids[row["id"]] for row in asked.to_list()]

    return find


def qdrant(ids: list, rows: np.ndarray) -> Find:
    """pip install qdrant-client; in this process, where its search is exact."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    params = models.VectorParams(size=rows.shape[1], distance=models.Distance.DOT)
    client.create_collection("items", vectors_config=params)
    client.upload_collection("items", vectors=rows, ids=range(len(ids)))

    def find(user: np.ndarray, k: int) -> list:
        found = client.query_points("items", query=user.tolist(), limit=k)
        return [ids[point.id] for point in found.points]

    return find


def pgvector(ids: list, rows: np.ndarray) -> Find:
    """pip install pgserver 'psycopg[binary]' pgvector: PostgreSQL and its extension."""
    import pgserver
    import psycopg
    from pgvector.psycopg import register_vector

    server = pgserver.get_server(tempfile.mkdtemp())
    link = psycopg.connect(server.get_uri(), autocommit=True)
    link.execute("CREATE EXTENSION vector")
    register_vector(link)
    link.execute(f"CREATE TABLE items (id int, row vector({rows.shape[1]}))")
    with link.cursor().copy("COPY items FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "vector"])
        for place, row in enumerate(rows):
            copy.write_row((place, row))
    link.execute("CREATE INDEX ON items USING hnsw (row vector_ip_ops)")
    link.execute("SET hnsw.ef_search = 200")
    ask = "SELECT id FROM items ORDER BY row <#> %s LIMIT %s"

    def find(user: np.ndarray, k: int) -> list:
        return [ids[place] for (place,) in link.execute(ask, (user, k))]

    return find


STORES = {"faiss": faiss, "lancedb": lancedb, "qdrant": qdrant, "pgvector": pgvector}


def recall(find: Find, best: Find, users: np.ndarray, k: int) -> float:
    """The share of the exact ``k`` best that is found."""
    parts = [len({*find(u, k)} & {*best(u, k)}) / k for u in users]
    return float(np.mean(parts))


def read(folder: Path, kind: str) -> tuple[list, np.ndarray]:
    """Ids and embeddings that were exported."""
    path = folder / f"{kind}s.parquet"
    if not path.exists():
        raise MMRecError(
            f"there is no {path}: make it by pyg-mmrec export --embeddings"
        )
    table = pd.read_parquet(path)
    return table[kind].tolist(), np.stack(table["embedding"]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, help="what pyg-mmrec export --embeddings wrote")
    add("stores", nargs="+", choices=STORES)
    add("-k", type=int, default=20)
    add("--users", type=int, default=200, help="users to ask for")
    args = parser.parse_args()
    ids, rows = read(args.folder, "item")
    _, users = read(args.folder, "user")
    users = users[np.random.default_rng(0).permutation(len(users))[: args.users]]
    best = exact(ids, rows)
    print(f"| {len(ids):,} items | recall@{args.k} | put in | a question |")
    print("|---|---|---|---|")
    for name in args.stores:
        start = time.perf_counter()
        try:
            find = STORES[name](ids, rows)
        except ImportError as error:
            told = STORES[name].__doc__
            raise MMRecError(f"{error.name!r} is not installed: {told}") from error
        put = time.perf_counter() - start
        start = time.perf_counter()
        found = recall(find, best, users, args.k)
        each = 1000 * (time.perf_counter() - start) / len(users)
        print(f"| {name} | {found:.4f} | {put:.2f} s | {each:.1f} ms |")
        sys.stdout.flush()


if __name__ == "__main__":
    guarded(main, left="nothing is written before the end")
