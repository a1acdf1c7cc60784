"""Papers against what reads them: front matter through PyYAML and huggingface_hub's ModelCard, CycloneDX through the
schema that cyclonedx-python-lib carries, SPDX through spdx-python-model, HTML and Markdown through parsers.

TOLA_SPDX names a folder with schema.json, spdx-context.jsonld and spdx-model.ttl of
https://spdx.github.io/spdx-spec/v3.0.1/rdf/ (they are not packaged); with it SPDX documents are held against the JSON
schema and the SHACL model, too."""

import html.parser
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile

import common

tally = common.Tally("papers")
NASTY = ["plain", "a: b", "#no", "no", "Yes", "null", "1e3", "2026-01-01", "0x1F", "- item", "it's \"quoted\"", "a\\b",
         "tab\there", "[x](javascript:alert(1))", "<script>alert(1)</script>", "--> <b>", "| pipe |", "{{ jinja }}",
         "&amp; &lt;", "`code` **bold** _it_", "ünïcödé 模型",
         "line\nbreak\n# heading\n---\nlicense: mit", "%tag", "!!str x",
         "&anchor",
         "*alias", "@at", "\u202eevil", "trailing ",
         "a #b", "~", ":", "?", "=", "<<", "1.", "12:30:45", "=== ",
         "\u0085nel", "\u2028ls", "x" * 3000, "'", "\"", "---", "...", "...\n---\n"]


def write_model(folder, name="model.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"model.embed_tokens.weight": [64, 16], "model.norm.weight": [16]}
    header, at = {}, 0
    for key, shape in tensors.items():
        size = 2
        for n in shape:
            size *= n
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + bytes(random.Random(1).randbytes(at)))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                                                    "max_position_embeddings": 4096, "num_hidden_layers": 1,
                                                    "hidden_size": 16, "vocab_size": 64}))


def facts_of(text, day="2026-03-04"):
    """Facts with the same text wherever text goes."""
    return {
        "provider": {"legal_name": text, "contact": text, "url": "https://provider.example/"},
        "document": {"version": text, "date": day},
        "model": {"name": text, "version": text, "description": text, "release_date": day,
                  "languages": ["en", "no", text],
                  "tags": [text, "y"], "library": text, "task": "text-generation", "design": text, "architecture": text,
                  "citation": text, "download_url": "https://weights.example/x?y=1", "url": text,
                  "inputs": [{"modality": "text", "maximum": text}], "outputs": [{"modality": "text"}]},
        "licence": {"id": "other", "name": text, "url": "https://licence.example/"},
        "bases": [{"name": "org/base-1", "relation": "finetune", "licence": "MIT", "url": "https://base.example/"},
                  {"name": text, "relation": "merge", "licence": text}],
        "training": {"tokens": "2T", "energy_mwh": 0.0000125, "carbon_kg": 12, "method": text, "location": text,
                     "hardware": [{"device": text, "count": 8, "hours": 24, "precision": "bf16"}]},
        "data": [{"name": text, "kind": "public", "modality": ["text", "code"], "licence": text, "tokens": "1.5T",
                  "url": "https://huggingface.co/datasets/org/name/tree/main", "obtained": text, "scope": text,
                  "curation": text, "bias": text, "harmful_content": text, "size": "15TB", "collected_to": day},
                 {"name": "private", "kind": "licensed", "modality": "image", "personal_data": True, "split": "test"}],
        "evaluation": [{"benchmark": text, "dataset": text, "metric": "accuracy", "value": 0.00001234, "split": text,
                        "protocol": text, "url": "https://results.example/"}],
        "use": {"intended": text, "limitations": text, "out_of_scope": text, "software": text, "hardware": text},
        "data_policy": {"opt_out": text, "illegal_content": text, "sources_complete": True},
    }


def tola(*arguments, ok=(0,)):
    done = subprocess.run([str(common.BUILD / "tola"), *map(str, arguments)], capture_output=True)
    if done.returncode not in ok:
        raise common.Refused(done.stderr.decode(errors="replace"))
    return done


class Page(html.parser.HTMLParser):
    """What a browser would do with the page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for key, value in attributes:
            if key.startswith("on") or key in ("src", "srcset", "background"):
                self.links.append((tag, key, value))
            if key == "href" and not value.startswith(("http://", "https://")):
                self.links.append((tag, key, value))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def try_html(name, text):
    page = Page()
    page.feed(text)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "h4", "table", "tr", "th", "td", "p",
             "br",
             "span", "a", "pre"}
    tally.equal(f"{name}: elements beyond ours", sorted(set(page.tags) - known), [])
    tally.equal(f"{name}: what loads or runs", page.links, [])
    tally.equal(f"{name}: elements left open", page.open, [])


def try_markdown(name, text, nasty):
    try:
        import markdown_it
    except ImportError:
        return False
    body = text.split("\n---\n", 1)[1] if text.startswith("---\n") else text
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    raw = [t.content for token in parser.parse(body) for t in (token.children or [token]) if t.type.startswith("html")]
    ours = [r for r in raw if r != "<br>" and not r.startswith("<!-- ")]
    tally.equal(f"{name}: raw HTML in Markdown", ours, [])
    links = [t.attrGet("href") for token in parser.parse(body) for t in (token.children or []) if t.type == "link_open"]
    tally.equal(f"{name}: links that are no addresses", [x for x in links if not x.startswith("http")], [])
    images = [t for token in parser.parse(body) for t in (token.children or []) if t.type == "image"]
    tally.equal(f"{name}: images", images, [])
    return True


def try_card(name, text, facts):
    try:
        import yaml
        from huggingface_hub import ModelCard
    except ImportError:
        return tally.skip("huggingface_hub or PyYAML is absent")
    data = yaml.safe_load(text.split("\n---\n")[0][4:])
    wanted = facts["model"]
    tally.equal(f"{name}: languages", data.get("language"), wanted["languages"])
    tally.equal(f"{name}: tags", data.get("tags"), wanted["tags"])
    tally.equal(f"{name}: library", data.get("library_name"), wanted["library"])
    tally.equal(f"{name}: licence", (data["license"], data["license_name"], data["license_link"]),
                ("other", facts["licence"]["name"], "https://licence.example/"))
    tally.equal(f"{name}: datasets", data.get("datasets"), ["org/name"])
    tally.check(f"{name}: base", "org/base-1" in data["base_model"])
    card = ModelCard(text)
    tally.equal(f"{name}: huggingface_hub's languages", card.data.language, wanted["languages"])
    results = card.data.eval_results or []
    if any(c.isalnum() and ord(c) < 128 for c in facts["evaluation"][0]["dataset"]):
        tally.equal(f"{name}: results", [(r.metric_type, r.metric_value, r.dataset_name) for r in results],
                    [("accuracy", 0.00001234, facts["evaluation"][0]["dataset"])])
        tally.equal(f"{name}: name of the model", card.data.model_name, wanted["name"])
    return None


def cyclonedx_validator():
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
        return JsonStrictValidator(SchemaVersion.V1_6)
    except ImportError:
        return None


def try_cyclonedx(name, text, validator):
    if validator is None:
        return
    try:
        fault = validator.validate_str(text)
    except Exception as e:  # MissingOptionalDependencyException where jsonschema is absent
        return tally.skip(f"cyclonedx cannot validate: {e}")
    tally.check(f"{name}: CycloneDX 1.6", fault is None, str(fault))


def spdx_reader():
    try:
        from spdx_python_model.bindings import v3_0_1
        return v3_0_1
    except ImportError:
        return None


def try_spdx(name, text, model, schema):
    if model is not None:
        objects = model.SHACLObjectSet()
        try:
            model.JSONLDDeserializer().read(__import__("io").BytesIO(text.encode()), objects)
            package = [o for o in objects.foreach_type(model.ai_AIPackage)][0]
            for key in ("releaseTime", "suppliedBy", "software_downloadLocation", "software_packageVersion",
                        "software_primaryPurpose"):
                tally.check(f"{name}: {key}", getattr(package, key) is not None)
            missing = [i for i in objects.missing_ids if "NoAssertion" not in i]
            tally.equal(f"{name}: identifiers that lead nowhere", missing, [])
        except Exception as e:
            tally.check(f"{name}: spdx-python-model", False, repr(e))
    if schema is not None:
        faults = [e.message for e in schema.iter_errors(json.loads(text))]
        tally.equal(f"{name}: SPDX 3.0.1's JSON schema", faults[:2], [])


def try_shacl(name, text, folder):
    try:
        import pyshacl
        import rdflib
    except ImportError:
        return tally.skip("pyshacl is absent")
    document = json.loads(text)
    document["@context"] = json.loads((folder / "spdx-context.jsonld").read_text())["@context"]
    graph = rdflib.Graph().parse(data=json.dumps(document), format="json-ld")
    shapes = rdflib.Graph().parse(str(folder / "spdx-model.ttl"))
    good, _, report = pyshacl.validate(graph, shacl_graph=shapes, ont_graph=shapes, advanced=False)
    return tally.check(f"{name}: SPDX 3.0.1's SHACL model", good, report[:600])


def main():
    cyclonedx, spdx, schema = cyclonedx_validator(), spdx_reader(), None
    folder = pathlib.Path(os.environ["TOLA_SPDX"]) if os.environ.get("TOLA_SPDX") else None
    if folder:
        import jsonschema
        schema = jsonschema.Draft202012Validator(json.loads((folder / "schema.json").read_text()))
    else:
        tally.skip("TOLA_SPDX is not set: SPDX's JSON schema and SHACL model are absent")
    if cyclonedx is None:
        tally.skip("cyclonedx-python-lib is absent")
    if spdx is None:
        tally.skip("spdx-python-model is absent")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        write_model(work / "m")
        marked = True
        for number, text in enumerate(NASTY):
            facts = facts_of(text)
            (work / "facts.yaml").write_text(json.dumps(facts))  # JSON is YAML
            name = f"text {number} ({text[:20]!r})"
            common_flags = ["--facts", work / "facts.yaml", "--date", "2026-11-22", "--force", "-q"]
            try:
                all_of_it = number % 10 == 1
                for kind in ("hf", "eu", "data") if all_of_it else ("hf",):
                    for ending in ("md", "json", "html"):
                        tola("card", work / "m", *common_flags, "--kind", kind, work / f"x.{ending}")
                    page = (work / "x.html").read_text()
                    try_html(f"{name}, {kind}", page)
                    marked = try_markdown(f"{name}, {kind}", (work / "x.md").read_text(), text) and marked
                    card = json.loads((work / "x.json").read_text())
                    values = [f["value"] for s in card["sections"] for f in s["fields"]]
                    tally.check(f"{name}, {kind}: counts", card["unknown"] <= card["fields"] <= len(values))
                    if kind == "hf":
                        try_card(name, (work / "x.md").read_text(), facts)
                        shown = [v.strip() for v in values if v]
                        tally.check(f"{name}: the limitation as it is", text.strip() in shown)
                    for ending in ("md", "json", "html") if all_of_it else ():
                        tola("card", "--check", work / f"x.{ending}", work / "m", ok=(0, 1))
                for kind in ("cyclonedx", "spdx"):
                    tola("bom", work / "m", *common_flags, "--kind", kind, work / f"{kind}.json")
                    if all_of_it:
                        tola("bom", "--check", work / f"{kind}.json", work / "m")
                try_cyclonedx(name, (work / "cyclonedx.json").read_text(), cyclonedx)
                try_spdx(name, (work / "spdx.json").read_text(), spdx, schema if all_of_it else None)
                if folder and number == 0:
                    try_shacl(name, (work / "spdx.json").read_text(), folder)
            except common.Refused as e:
                tally.check(name, False, str(e))
        if not marked:
            tally.skip("markdown-it-py is absent")
        # without facts, and of a single file
        for model in (work / "m", work / "m" / "model.safetensors"):
            for kind, run in (("cyclonedx", try_cyclonedx), ("spdx", None)):
                text = tola("bom", model, "--kind", kind, "-").stdout.decode()
                if run:
                    run(f"{model.name} without facts", text, cyclonedx)
                else:
                    try_spdx(f"{model.name} without facts", text, spdx, schema)
                tally.check(f"{model.name}: no path", str(work) not in text)
    tally.finish()


main()
