"""The service's card as a page for people; everything in it is escaped."""

from html import escape

from datatoken.service.assets.models import Card, CardAsset
from datatoken.text import clean

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.85em;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}"
)
_DOMAINS = {
    "private": "Private domain: rows are read here, and do not leave.",
    "federated": "Federated domain: shares and results only; no rows are read here.",
}


def page(card: Card) -> str:
    """Return the card as HTML."""
    rows = "".join(_row(asset) for asset in card.assets)
    isolation = "".join(f"<li>{_text(line)}</li>" for line in card.isolation)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(card.name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(card.name)}</h1><p>{_DOMAINS[card.domain]}</p>"
        f"<p>Service <code>{card.service}</code>, engine {_text(card.engine)}, "
        f"DataToken {_text(card.version)}, chain {card.chain_id}.</p>"
        "<h2>Assets</h2><table><tr><th>Asset</th><th>DT</th><th>Owner</th><th>Requests</th></tr>"
        f"{rows}</table><h2>Isolation</h2><ul>{isolation}</ul>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>, <a href="healthz">healthz</a>, '
        '<a href="metrics">metrics</a>.</p></body></html>'
    )


def _row(asset: CardAsset) -> str:
    policy = {
        "auto": "granted at once within the owner's terms",
        "queue": "answered by a human",
        "refuse": "not taken here",
    }[asset.policy]
    owner = f"{_text(asset.owner_name)}<br>" if asset.owner_name else ""
    return (
        f"<tr><td>{_text(asset.name or '-')} ({asset.type})</td><td><code>{asset.dt}</code></td>"
        f"<td>{owner}<code>{asset.owner}</code></td><td>{policy}</td></tr>"
    )


def _text(text: str) -> str:
    return escape(clean(text))
