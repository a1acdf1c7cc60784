/* The keys of facts.yaml. What the checks, the documents and the template know of a key is its row here. */
#include "policy/facts.h"

#define TEXT(path, help, used)                                                                                         \
    { path, FACT_TEXT, NULL, NULL, 0, 0, help, used }
#define LIST(path, help, used)                                                                                         \
    { path, FACT_LIST, NULL, NULL, 0, 0, help, used }
#define ROWS(path, help, used)                                                                                         \
    { path, FACT_ROWS, NULL, NULL, 0, 0, help, used }
#define BOOL(path, help, used)                                                                                         \
    { path, FACT_BOOL, NULL, NULL, 0, 0, help, used }
#define DATE(path, help, used)                                                                                         \
    { path, FACT_DATE, NULL, NULL, 0, 0, help, used }
#define WORD(path, words, help, used)                                                                                  \
    { path, FACT_WORD, NULL, words, 0, 0, help, used }
#define NUMBER(path, unit, low, high, help, used)                                                                      \
    { path, FACT_NUMBER, unit, NULL, low, high, help, used }

/* In `used`: Form = the Model Documentation Form of the General-Purpose AI Code of Practice; Summary = the
 * Commission's template for the public summary of training content; MOF = Model Openness Framework. */
#define FORM "Form"
#define SUMMARY "Summary"

#define HARDWARE(group, used)                                                                                          \
    ROWS(group, "devices that it ran on", used), TEXT(group "[].device", "as its maker names it", used),               \
        NUMBER(group "[].count", "devices", 1, 1e8, "how many at a time", used),                                       \
        NUMBER(group "[].hours", "hours", 1e-6, 1e6, "how long, by the clock", used),                                  \
        NUMBER(group "[].device_hours", "hours", 1e-6, 1e12, "devices times hours, where that is what is known",       \
               used),                                                                                                  \
        NUMBER(group "[].peak_tflops", "TFLOP/s", 1e-3, 1e6,                                                           \
               "the peak of one device, without sparsity; else that of data/devices.yaml for device and precision",    \
               used),                                                                                                  \
        NUMBER(group "[].utilisation", "share", 1e-6, 1, "share of that peak that was reached (MFU)", used),           \
        WORD(group "[].precision", "fp64 fp32 tf32 fp16 bf16 fp8 int8 fp4", "of the matrix products", used),           \
        NUMBER(group "[].price_per_hour_usd", "USD", 0, 1e6, "of one device", "cost")

const facts_row facts_rows[] = {
    TEXT("provider.legal_name", "legal name of who provides the model", FORM "; " SUMMARY "; Art. 52"),
    TEXT("provider.contact", "e-mail address or page", FORM "; " SUMMARY),
    TEXT("provider.address", "postal address", FORM),
    TEXT("provider.url", "home page", "model card; BOM"),
    TEXT("provider.funded_by", "who paid for it", "model card"),
    TEXT("provider.country", "where it is established, ISO 3166-1 two letters (US, FR)", "Art. 54"),
    TEXT("provider.eu_representative", "authorised representative in the Union: name and contact", "Art. 54; " SUMMARY),
    NUMBER("provider.annual_turnover_eur", "EUR", 0, 1e14, "worldwide, of the year before", "Art. 101"),
    NUMBER("provider.annual_revenue_usd", "USD", 0, 1e14, "gross, of the year before, with affiliates", "SB 53; RAISE"),
    BOOL("provider.sme", "small or medium-sized enterprise in the Union's sense", "Art. 101"),
    BOOL("provider.academic", "an accredited college or university that does academic research", "RAISE"),
    BOOL("provider.in_new_york", "develops, deploys or operates in New York State", "RAISE"),

    TEXT("document.version", "of this file and the papers made from it", FORM),
    DATE("document.date", "of this file", FORM),

    TEXT("model.name", "public name", FORM "; model card; BOM"),
    TEXT("model.version", "version", FORM "; BOM"),
    TEXT("model.description", "what it is, in a sentence or two", "model card; BOM"),
    DATE("model.release_date", "of the first distribution in any way", FORM "; BOM"),
    DATE("model.eu_release_date", "placed on the Union's market; absent: unknown", FORM "; Art. 111(3)"),
    BOOL("model.eu_placed", "placed, or to be placed, on the Union's market", "AI Act"),
    DATE("model.training_start", "when the main run began, or will begin", "Art. 52"),
    ROWS("model.inputs", "what goes in", FORM),
    WORD("model.inputs[].modality", "text speech image audio video code table other", "kind", FORM "; guidelines"),
    TEXT("model.inputs[].maximum", "largest size, as \"131072 tokens\", \"1120 x 1120 pixels\"", FORM),
    ROWS("model.outputs", "what comes out", FORM),
    WORD("model.outputs[].modality", "text speech image audio video code table other", "kind", FORM "; guidelines"),
    TEXT("model.outputs[].maximum", "largest size", FORM),
    LIST("model.languages", "BCP 47 codes (en, de)", "model card"),
    NUMBER("model.parameters", "parameters", 1, 1e16, "all; held against the weights", FORM "; compute"),
    NUMBER("model.active_parameters", "parameters", 1, 1e16, "used for one token, of a mixture of experts", "compute"),
    NUMBER("model.context_tokens", "tokens", 1, 1e10, "longest input", "model card"),
    TEXT("model.architecture", "general description, as \"dense decoder-only transformer\"", FORM "; BOM"),
    TEXT("model.design", "design specifications: key choices, with reasons and assumptions", FORM),
    LIST("model.dependencies", "models that this one was made from or needs", FORM),
    TEXT("model.task", "pipeline tag, as text-generation", "model card; BOM"),
    TEXT("model.library", "library that loads it, as transformers", "model card"),
    LIST("model.tags", "words to be found by", "model card"),
    BOOL("model.general_purpose", "displays significant generality, competent at many distinct tasks", "Art. 3(63)"),
    TEXT("model.url", "page of the model", "model card; BOM"),
    TEXT("model.download_url", "where the weights are", "BOM"),
    TEXT("model.paper_url", "paper or technical report", "model card"),
    TEXT("model.repository_url", "source code", "model card; BOM"),
    TEXT("model.citation", "BibTeX", "model card"),

    ROWS("bases", "models that this one was made from", "licence lineage; Art. 3(63), one third"),
    TEXT("bases[].name", "as meta-llama/Llama-3.1-405B", "licence lineage"),
    WORD("bases[].relation", "finetune adapter merge quantize convert continue distil", "how",
         "licence lineage; one third"),
    TEXT("bases[].licence", "SPDX identifier or name, as llama3.1", "licence lineage"),
    NUMBER("bases[].compute_flop", "FLOP", 0, 1e32, "cumulative training compute", "one third"),
    NUMBER("bases[].parameters", "parameters", 1, 1e16, "all", "compute"),
    NUMBER("bases[].active_parameters", "parameters", 1, 1e16, "for one token", "compute"),
    NUMBER("bases[].tokens", "tokens", 0, 1e17, "it was trained on", "compute"),
    BOOL("bases[].own", "is of the same provider", "one third"),
    BOOL("bases[].systemic_risk", "is a model with systemic risk", "one third"),
    TEXT("bases[].url", "where it comes from", "BOM"),

    TEXT("licence.id", "SPDX identifier, or llama3.1, gemma, other: see data/licences.yaml",
         FORM "; Art. 53(2); OSAID; model card"),
    TEXT("licence.name", "of a licence without an identifier", "model card"),
    TEXT("licence.file", "path in the model's folder", "lineage"),
    TEXT("licence.url", "text of the licence", FORM "; model card"),
    TEXT("licence.category", "free and open-source, less permissive, proprietary, or another kind", FORM),
    BOOL("licence.free", "access, use, change and distribution allowed without pay; where licence.id is not known here",
         "Art. 53(2), recital 102"),
    BOOL("licence.parameters_public", "the parameters, including the weights, are public", "Art. 53(2)"),
    BOOL("licence.architecture_public", "information on the architecture is public", "Art. 53(2)"),
    BOOL("licence.usage_public", "information on usage is public", "Art. 53(2)"),
    BOOL("licence.monetised", "provided against a price, or otherwise monetised (recital 103)", "Art. 53(2)"),
    TEXT("licence.monetisation", "how, or why not", "Art. 53(2)"),
    TEXT("licence.restrictions", "limits on use beyond the licence's text", "Art. 53(2)"),
    LIST("licence.notices", "files or texts with notices that go with the model", "licence lineage"),
    TEXT("licence.attribution", "as displayed, as \"Built with Llama\"", "licence lineage"),
    TEXT("licence.additional", "which further artefacts come under which terms", FORM),

    NUMBER("training.tokens", "tokens", 0, 1e17, "training went through, repeated ones counted each time", "compute"),
    NUMBER("training.unique_tokens", "tokens", 0, 1e17, "without repetition", "compute; " SUMMARY),
    NUMBER("training.epochs", "epochs", 0, 1e6, "over the unique tokens", "compute"),
    NUMBER("training.compute_flop", "FLOP", 0, 1e32, "as the provider declares it, cumulative",
           FORM "; Art. 51; SB 53; RAISE"),
    TEXT("training.compute_method", "how it was estimated or measured", FORM),
    NUMBER("training.synthetic_compute_flop", "FLOP", 0, 1e32, "spent on making synthetic training data",
           "guidelines: cumulative compute"),
    NUMBER("training.other_compute_flop", "FLOP", 0, 1e32, "of further runs that went into the model (merged parents)",
           "guidelines: cumulative compute"),
    HARDWARE("training.hardware", FORM "; compute"),
    NUMBER("training.price_per_device_hour_usd", "USD", 0, 1e6, "where hardware[] has none", "cost"),
    NUMBER("training.cost_usd", "USD", 0, 1e13, "compute cost as declared", "cost; RAISE"),
    DATE("training.start_date", "first day of training", FORM),
    DATE("training.end_date", "last day of training", FORM),
    NUMBER("training.wall_hours", "hours", 1e-6, 1e6, "duration by the clock", FORM),
    TEXT("training.method", "stages, methods, objectives: what is optimised for", FORM),
    TEXT("training.rationale", "why these choices", FORM),
    NUMBER("training.energy_mwh", "MWh", 0, 1e9, "electricity used", FORM),
    TEXT("training.energy_method", "measured, or estimated how", FORM),
    NUMBER("training.pue", "ratio", 1, 10, "power usage effectiveness of the data centre", "energy"),
    TEXT("training.location", "country or region of the machines", "model card; export"),
    NUMBER("training.carbon_kg", "kg", 0, 1e12, "CO2 equivalent", "model card; BOM"),
    NUMBER("training.inference_flop", "FLOP", 0, 1e32, "benchmarked amount of computation for inference", FORM),
    TEXT("training.inference_method", "how that was benchmarked", FORM),

    NUMBER("finetuning.tokens", "tokens", 0, 1e17, "of the modification alone, repeated ones counted", "one third"),
    NUMBER("finetuning.compute_flop", "FLOP", 0, 1e32, "of the modification alone, as declared", "one third; SB 53"),
    TEXT("finetuning.method", "full, LoRA, RLHF, ...", FORM),
    NUMBER("finetuning.trainable_parameters", "parameters", 0, 1e16, "weights that learn", "model card"),
    HARDWARE("finetuning.hardware", "one third"),
    NUMBER("finetuning.price_per_device_hour_usd", "USD", 0, 1e6, "where hardware[] has none", "cost"),
    NUMBER("finetuning.cost_usd", "USD", 0, 1e13, "compute cost as declared", "cost; RAISE"),
    NUMBER("finetuning.energy_mwh", "MWh", 0, 1e9, "electricity used", FORM),

    ROWS("data", "sources of training, validation and test data", FORM "; " SUMMARY "; OSAID"),
    TEXT("data[].name", "name of the dataset or source", FORM "; " SUMMARY),
    WORD("data[].split", "training validation test", "what it was used for", FORM),
    WORD("data[].kind", "public licensed private scraped user synthetic other", "where it comes from",
         FORM "; " SUMMARY),
    LIST("data[].modality", "text, image, audio, video, code, other", FORM "; " SUMMARY),
    TEXT("data[].obtained", "how it was obtained and selected", FORM),
    NUMBER("data[].size", "bytes", 0, 1e19, "as 15TB or 15TiB", SUMMARY),
    NUMBER("data[].points", "data points", 0, 1e17, "documents, pictures, hours, as scope says", FORM),
    NUMBER("data[].tokens", "tokens", 0, 1e17, "of it that were used", FORM "; " SUMMARY),
    TEXT("data[].licence", "SPDX identifier or name", "OSAID; model card"),
    DATE("data[].collected_from", "first day of collection", SUMMARY),
    DATE("data[].collected_to", "last day of collection", SUMMARY),
    LIST("data[].languages", "BCP 47 codes", SUMMARY),
    TEXT("data[].scope", "scope and main characteristics", FORM),
    TEXT("data[].curation", "cleaning, filtering, annotation", FORM),
    TEXT("data[].harmful_content", "measures to detect unsuitable sources", FORM),
    TEXT("data[].bias", "measures to detect identifiable biases", FORM),
    BOOL("data[].personal_data", "holds personal data", FORM),
    BOOL("data[].copyrighted", "holds works under copyright", SUMMARY),
    TEXT("data[].url", "where it can be found", SUMMARY "; OSAID"),
    BOOL("data[].available", "anyone may obtain it, for pay or not", "OSAID"),
    TEXT("data[].crawler", "name of the crawler, of scraped data", SUMMARY),
    LIST("data[].domains", "top domain names, of scraped data", SUMMARY),
    TEXT("data[].generator", "model that made it, of synthetic data", SUMMARY),

    TEXT("data_policy.copyright_policy", "text or address of the policy to comply with Union copyright law",
         "Art. 53(1)(c)"),
    TEXT("data_policy.opt_out", "how reservations of rights under Directive 2019/790 Art. 4(3) are respected",
         "Art. 53(1)(c); " SUMMARY),
    BOOL("data_policy.robots_txt", "crawlers follow robots.txt", "Art. 53(1)(c)"),
    LIST("data_policy.crawlers", "names of own crawlers", SUMMARY),
    TEXT("data_policy.illegal_content", "measures against illegal content", SUMMARY),
    TEXT("data_policy.summary_url", "where the public summary of training content is", "Art. 53(1)(d)"),
    DATE("data_policy.cutoff_date", "latest training data", SUMMARY "; model card"),
    BOOL("data_policy.code_of_practice", "signed the General-Purpose AI Code of Practice", "Art. 53(4), 55(2)"),
    BOOL("data_policy.sources_complete", "data lists every source, so that kinds that are not there were not used",
         FORM "; " SUMMARY),
    TEXT("data_policy.other_public", "public datasets too small to be listed, in general words", SUMMARY),
    TEXT("data_policy.crawler_purpose", "purposes of the crawlers", SUMMARY),
    TEXT("data_policy.crawler_behaviour", "how the crawlers behave: robots.txt, paywalls, captchas", SUMMARY),
    BOOL("data_policy.user_model_data", "data from users' interactions with the model was used", SUMMARY),
    BOOL("data_policy.user_service_data", "data from users of the provider's other services was used", SUMMARY),
    TEXT("data_policy.user_data_services", "services or products that collected data of users", SUMMARY),
    BOOL("data_policy.continuous", "training goes on with new data after the cutoff date", SUMMARY),
    TEXT("data_policy.linguistic", "linguistic characteristics of all training data", SUMMARY),
    TEXT("data_policy.characteristics", "other relevant characteristics of all training data", SUMMARY),
    TEXT("data_policy.comments", "additional comments on the training data", SUMMARY),

    ROWS("release.components", "what goes public", "OSAID; MOF"),
    WORD("release.components[].component",
         "architecture parameters parameters_intermediate preprocessing_code training_code inference_code "
         "evaluation_code libraries datasets evaluation_data model_metadata evaluation_results model_card data_card "
         "technical_report research_paper sample_outputs",
         "part, as the Model Openness Framework names it", "OSAID; MOF"),
    BOOL("release.components[].present", "it is public", "OSAID; MOF"),
    TEXT("release.components[].licence", "SPDX identifier or name", "OSAID; MOF"),
    TEXT("release.components[].url", "where it is", "OSAID; MOF"),
    TEXT("release.licences.distribution", "of all components without a licence of their own or of their kind", "MOF"),
    TEXT("release.licences.code", "of code without a licence of its own", "MOF"),
    TEXT("release.licences.data", "of data and parameters without a licence of their own", "MOF"),
    TEXT("release.licences.document", "of documents without a licence of their own", "MOF"),
    BOOL("release.data_information",
         "enough on the data for a skilled person to build a substantially equivalent system", "OSAID"),
    BOOL("release.complete_code", "all code that trains and runs it is public under terms that OSI approves", "OSAID"),
    WORD("release.access", "open gated api closed", "how the weights are given out", "Art. 53(2); export; release"),

    LIST("distribution.channels", "as \"Hugging Face\", \"own API\"", FORM),
    LIST("distribution.excluded_regions", "where it is not offered, ISO 3166-1 or EU", "licence lineage; AI Act"),
    BOOL("distribution.commercial", "offered or used in the course of a business", "licence lineage"),
    NUMBER("distribution.monthly_users", "users", 0, 1e11, "active a month, of the provider's products",
           "licence lineage"),

    ROWS("evaluation", "results", FORM "; MOF; model card"),
    TEXT("evaluation[].benchmark", "name", "model card; Art. 55(1)(a)"),
    TEXT("evaluation[].dataset", "its data", "model card"),
    TEXT("evaluation[].split", "part of the data", "model card"),
    TEXT("evaluation[].metric", "as accuracy", "model card; BOM"),
    NUMBER("evaluation[].value", "value", -1e12, 1e12, "result", "model card; BOM"),
    TEXT("evaluation[].protocol", "shots, prompts, scoring", "model card; Art. 55(1)(a)"),
    DATE("evaluation[].date", "when", "evaluation record"),
    TEXT("evaluation[].evaluator", "who", "evaluation record"),
    TEXT("evaluation[].url", "where it is written down", "model card"),

    TEXT("safety.adversarial_testing", "what was tested and found, red teams included", "Art. 55(1)(a)"),
    TEXT("safety.risk_assessment", "systemic risks assessed and mitigated", "Art. 55(1)(b); SB 53; RAISE"),
    TEXT("safety.mitigations", "safeguards in place", "Art. 55(1)(b)"),
    TEXT("safety.incident_reporting", "how serious incidents are tracked and reported", "Art. 55(1)(c); SB 53; RAISE"),
    TEXT("safety.cybersecurity", "protection of model and weights", "Art. 55(1)(d); SB 53; RAISE"),
    TEXT("safety.framework_url", "published frontier framework, safety and security protocol", "SB 53; RAISE; Art. 55"),
    TEXT("safety.transparency_report_url", "published with the model", "SB 53"),
    TEXT("safety.whistleblower_channel", "anonymous internal channel", "SB 53"),
    TEXT("safety.third_party", "assessments by others", "Art. 55(1)(a)"),
    DATE("safety.threshold_met_date", "the threshold of systemic risk was met, or known to be met", "Art. 52(1)"),
    BOOL("safety.designated", "the Commission designated it as a model with systemic risk", "Art. 51(1)(b)"),
    DATE("safety.notified_date", "the Commission was notified", "Art. 52(1)"),

    TEXT("use.acceptable_use", "acceptable use policy, text or address", FORM),
    TEXT("use.intended", "intended uses, and where it may go in", FORM),
    TEXT("use.systems", "type and nature of AI systems that it can go into", FORM),
    TEXT("use.out_of_scope", "uses that it is not meant for, or that are restricted", FORM "; model card"),
    TEXT("use.limitations", "known limits and biases", "model card; BOM"),
    TEXT("use.hardware", "needed to run it", FORM),
    TEXT("use.software", "needed to run it", FORM),
    TEXT("use.integration", "how it goes into systems: interfaces, instructions", FORM),
    TEXT("use.recommendations", "to those who use it", "model card"),

    TEXT("export.classification", "ECCN, or why none applies", "export questions"),
    BOOL("export.published", "the weights are published in the sense of 15 CFR 734.7", "export questions"),
    TEXT("export.screening", "how recipients are held against lists of restricted parties", "export questions"),
    TEXT("export.end_use", "how prohibited end uses (15 CFR 744) are kept out", "export questions"),
    { 0 },
};
