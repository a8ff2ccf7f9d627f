"""The page: what :class:`Explorer` finds, by Gradio."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from random import Random
from typing import Any

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.explore import cards as html
from pyg_mmrec.explore.explorer import Explorer, Reason, Recommended, relation_words
from pyg_mmrec.extras import check_extra
from pyg_mmrec.plots import plot_contribution, plot_history

_MOST_CHOICES = 20_000  # titles that a browser gets to choose from
_TAKEN = 24  # cards of a history
_USERS = 12  # of an item, by their ids
_HOW = (
    "Shares of ids and modalities are Shapley values of the score: what each adds, "
    "averaged over all orders in which they can come; they sum to the score. What "
    "takes away is hatched."
)


def check_installed() -> None:
    """Refuse to show a page without the extra.

    Raises:
        MMRecError: If a part of it is not installed.
    """
    check_extra("explore", ("gradio", "matplotlib"))


def show(explorer: Explorer, host: str, port: int, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        explorer: What it shows.
        host: Address to listen at.
        port: Port to listen at.
        browser: Whether to open it in a browser.

    Raises:
        MMRecError: If the extra is missing, or the port is taken.
    """
    check_installed()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    logging.getLogger("httpx").setLevel(logging.WARNING)  # by which it asks itself
    try:
        make_page(explorer).launch(
            server_name=host, server_port=port, inbrowser=browser, share=False,
            quiet=True, prevent_thread_lock=True, footer_links=[], css=html.STYLE,
            theme=gradio.themes.Base(
                font=["system-ui", "sans-serif"], font_mono=["monospace"]
            ),
            ssr_mode=False,
        )  # fmt: skip
    except OSError as error:
        raise MMRecError(
            f"{host} port {port} cannot be listened at: choose another --port or --host"
        ) from error
    print(
        f"the page of this run is at http://{host}:{port}; Ctrl-C ends it", flush=True
    )
    _wait()


def _wait() -> None:
    from threading import Event

    Event().wait()


def make_page(explorer: Explorer) -> Any:
    """The page as Gradio has it."""
    import gradio

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    name = f"{explorer.run.model.name} on {explorer.dataset.name}"
    with gradio.Blocks(title=name, analytics_enabled=False, fill_width=True) as page:
        gradio.Markdown(f"## {name}")
        with gradio.Tab("A user"):
            _user_tab(gradio, explorer)
        with gradio.Tab("Items"):
            _items_tab(gradio, explorer)
        with gradio.Tab("An item's neighbours"):
            _item_tab(gradio, explorer)
        with gradio.Tab("The run"):
            _run_tab(gradio, explorer)
    return page


def _user_tab(gradio: Any, explorer: Explorer) -> None:
    users, random = explorer.index.user_ids, Random(0)
    with gradio.Row(equal_height=True):
        user = gradio.Textbox(str(users[0]), label="User", scale=3)
        other = gradio.Button("Somebody else", scale=1, min_width=140)
        count = gradio.Slider(5, 50, 12, step=1, label="How many", scale=3)
    gradio.HTML(html.key(explorer.sources))
    found = gradio.HTML()
    chosen = gradio.Dropdown(label="Why this one?", interactive=True)
    reason, taken = gradio.HTML(), gradio.HTML()

    def look(text: str, k: int) -> Sequence[Any]:
        asked = explorer.user_id(text)
        answer = explorer.for_user(asked, int(k))
        return _shown(gradio, answer, explorer)

    def why(text: str, item: str | None) -> str:
        if not item:
            return ""
        return _reason(
            explorer.why_user(explorer.user_id(text), explorer.item_id(item))
        )

    def somebody() -> str:
        return str(users[random.randrange(len(users))])

    look, why = _told(gradio, look), _told(gradio, why)
    asked, outputs = [user, count], [found, chosen, taken]
    gradio.on([user.submit, count.release], look, asked, outputs)
    other.click(somebody, None, user).then(look, asked, outputs)
    chosen.change(why, [user, chosen], reason)
    _at_start(gradio, look, asked, outputs)


def _items_tab(gradio: Any, explorer: Explorer) -> None:
    choices = explorer.named_items()[:_MOST_CHOICES]
    with gradio.Row(equal_height=True):
        taken = gradio.Dropdown(
            choices, value=[value for _, value in choices[:2]], multiselect=True,
            label="Somebody new took", scale=5,
        )  # fmt: skip
        count = gradio.Slider(5, 50, 12, step=1, label="How many", scale=2)
    found = gradio.HTML()
    chosen = gradio.Dropdown(label="Why this one?", interactive=True)
    reason, history = gradio.HTML(), gradio.HTML()

    def look(texts: list[str], k: int) -> Sequence[Any]:
        if not texts:
            return "<p>Choose an item or more.</p>", gradio.Dropdown(choices=[]), ""
        raws = [explorer.item_id(text) for text in texts]
        return _shown(gradio, explorer.for_items(raws, int(k)), explorer)

    def why(texts: list[str], item: str | None) -> str:
        if not item or not texts:
            return ""
        raws = [explorer.item_id(text) for text in texts]
        return _reason(explorer.why_items(raws, explorer.item_id(item)))

    look, why = _told(gradio, look), _told(gradio, why)
    asked, outputs = [taken, count], [found, chosen, history]
    gradio.on([taken.change, count.release], look, asked, outputs)
    chosen.change(why, [taken, chosen], reason)
    _at_start(gradio, look, asked, outputs)


def _item_tab(gradio: Any, explorer: Explorer) -> None:
    choices = explorer.named_items()[:_MOST_CHOICES]
    with gradio.Row(equal_height=True):
        item = gradio.Dropdown(
            choices, value=choices[0][1], label="Item", scale=5,
            allow_custom_value=True,
        )  # fmt: skip
        count = gradio.Slider(3, 30, 8, step=1, label="How many", scale=2)
    found = gradio.HTML()

    def look(text: str, k: int) -> str:
        raw = explorer.item_id(text)
        parts = [f"{html.cards([explorer.card(raw)])}"]
        for name, near in explorer.around(raw, int(k)).items():
            parts.append(f"<h3>{html.escape(relation_words(name))}</h3>")
            parts.append(html.cards(near, "It has no neighbours here."))
        who = explorer.users_of(raw, _USERS)
        parts.append(f"<h3>taken by</h3><p>{html.escape(who)}</p>")
        return "".join(parts)

    look = _told(gradio, look)
    gradio.on([item.change, count.release], look, [item, count], found)
    _at_start(gradio, look, [item, count], found)


def _run_tab(gradio: Any, explorer: Explorer) -> None:
    result = explorer.run.result
    with gradio.Row():
        with gradio.Column(scale=1):
            gradio.HTML(
                f"<h3>Test, at epoch {result.best_epoch}</h3>{_metrics(result.test)}"
            )
        with gradio.Column(scale=3):
            figures = gradio.HTML()

    def look() -> str:
        parts = []
        if result.history:
            parts += ["<h3>Epochs</h3>", html.drawing(plot_history(explorer.run))]
        parts.append("<h3>Whom each modality serves, on test</h3>")
        try:
            parts.append(html.drawing(plot_contribution(explorer.contribution)))
        except MMRecError as error:
            parts.append(f"<p>{html.escape(str(error))}</p>")
        return "".join(parts)

    _at_start(gradio, look, None, figures)


def _metrics(found: Mapping[str, float]) -> str:
    """Metrics as a table, a column each cut-off."""
    parts = [(*name.partition("@")[::2], value) for name, value in found.items()]
    cuts = sorted({k for _, k, _ in parts}, key=lambda k: int(k or 0))
    table: dict[str, dict[str, float]] = {}
    for name, k, value in parts:
        table.setdefault(name, {})[k] = value
    rows = [
        (name, *(f"{row[k]:.4f}" if k in row else "" for k in cuts))
        for name, row in table.items()
    ]
    return html.table(["", *(f"@{k}" if k else "" for k in cuts)], rows)


def _shown(gradio: Any, answer: Recommended, explorer: Explorer) -> Sequence[Any]:
    """Cards, what to choose from, and the history."""
    titles = [card.title for card in answer.cards]
    choices = list(zip(titles, map(str, answer.items), strict=True))
    count = len(answer.taken)
    more = f", {_TAKEN} of them shown" if count > _TAKEN else ""
    history = f"<h3>Known to have taken {count} items{more}</h3>"
    first = choices[0][1] if choices else None
    return (
        html.cards(answer.cards, "Nothing is left to recommend."),
        gradio.Dropdown(choices=choices, value=first),
        history + html.cards(answer.taken[:_TAKEN], "Nothing."),
    )


def _reason(reason: Reason) -> str:
    title = html.escape(reason.title)
    parts = [f"<h3>{title}: score {reason.score:.3f}</h3>"]
    if reason.shares:
        parts.append(html.bar(reason.shares))
        shares = [(name, f"{value:+.4f}") for name, value in reason.shares.items()]
        parts += [html.table(["source", "share"], shares), f"<p>{_HOW}</p>"]
    rows = [
        (title, relation_words(relation), f"{1000 * weight:.3f}")
        for title, relation, weight in reason.paths
    ]
    parts.append("<h3>Paths in the graph that lead to it</h3>")
    head = ["from", "because", "weight of the path, ‰"]
    parts.append(html.table(head, rows) if rows else "<p>None from these items.</p>")
    return "".join(parts)


def _told(gradio: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, where a mistake is a note on the page."""

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except MMRecError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    return call


def _at_start(
    gradio: Any, function: Callable[..., Any], inputs: Any, outputs: Any
) -> None:
    gradio.context.Context.root_block.load(function, inputs, outputs)
