"""Prints some of tola.comply/1: show.py [ID...] < JSON: flop, cost, class, then "ID verdict[/met] [from]"."""
import json
import sys

d = json.load(sys.stdin)
flop, cost = d["compute"]["flop"], d["cost"]["usd"]
print("flop", "unknown" if flop is None else f"{flop:.3g}", "cost", "unknown" if cost is None else f"{cost:.4g}",
      "class", (d["mof"] or {}).get("class"))
by_id = {c["id"]: c for c in d["conclusions"]}
for name in sys.argv[1:]:
    c = by_id[name]
    print(name, c["verdict"] + (f"/{c['met']}" if c["met"] else ""), "" if c["in_force"] else f"from {c['from']}",
          "estimate" if c["estimate"] else "")
