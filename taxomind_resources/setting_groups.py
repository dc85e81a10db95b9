"""The groups of settings: every name with its type, default and meaning. `settings.py` reads them and puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field

from taxomind_resources.faults import Fault


class Group(BaseModel):
    """Settings that belong together; unknown names are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class EmbeddingSettings(Group):
    """Which model turns texts into vectors, and how."""

    provider: Literal["local", "sentence-transformers", "openai"] = Field("local", description="who runs the model")
    model: str = Field("all-MiniLM-L6-v2", description="preset name, hub name, folder, or the endpoint's model name")
    revision: str | None = Field(None, description="pinned revision of a hub model")
    runtime: Literal["auto", "openvino", "onnxruntime"] = Field("auto", description="who executes the local model")
    number_format: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto", description="arithmetic; int8 is static INT8 and has its own vectors"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="device of the sentence-transformers provider")
    query_prompt: str | None = Field(None, description="text before queries; null = the model's own")
    document_prompt: str | None = Field(None, description="text before node texts; null = the model's own")
    dimensions: int | None = Field(None, ge=8, description="cut vectors to this length (Matryoshka models)")
    max_tokens: int | None = Field(None, ge=8, description="token limit of one chunk; null = the model's own")
    max_chars: int | None = Field(None, ge=1, description="cut texts to this many characters; null = no cut")
    batch_tokens: int = Field(1024, ge=64, description="padded tokens in one batch")
    cache: bool = Field(True, description="keep vectors on disk")
    cache_queries: bool = Field(True, description="keep those of queries as well, not only those of node texts")
    cache_megabytes: int = Field(4096, ge=16, description="size of one model's cache; above it the oldest vectors go")
    local_files_only: bool = Field(False, description="never ask a model hub")
    trust_remote_code: bool = Field(False, description="run code from a model repository; needs a pinned revision")
    base_url: str | None = Field(None, description="address of an OpenAI-compatible endpoint")
    api_key: str | None = Field(None, description="its key; OPENAI_API_KEY when null", repr=False)
    request_texts: int = Field(128, ge=1, le=2048, description="texts in one request to an endpoint")
    requests_per_minute: int = Field(600, ge=1, description="rate limit towards an endpoint")
    timeout_s: float = Field(60.0, gt=0, description="seconds to wait for one request")
    max_retries: int = Field(5, ge=0, description="tries after a failed request")


class TextSettings(Group):
    """How fields become one text."""

    field_order: tuple[str, ...] = Field((), description="name patterns, first match wins, the rest by name")
    include_field_names: bool = Field(False, description="write 'name: value' instead of the value alone")


class RetrievalSettings(Group):
    """Which nodes are looked at."""

    mode: Literal["hybrid", "label"] = Field("hybrid", description="hybrid: all views and words; label: label vectors only")
    retrieval_k: int = Field(20, ge=1, description="nodes retrieved per text and source")
    beam_count: int = Field(3, ge=1, description="top nodes that routing follows (stop rule `rules`)")
    enable_beam_selection: bool = Field(True, description="false: follow every top node")
    beam_rank: Literal["top3", "mean", "sum", "max"] = Field("top3", description="how top nodes are ranked")
    expand_neighbours: int = Field(0, ge=0, description="nearest other nodes added for each retrieved node")


class RoutingSettings(Group):
    """How far down an answer goes."""

    stop_rule: Literal["mass", "gate", "rules", "never"] = Field(
        "mass",
        description="mass: deepest node that is probable enough; gate: learned from labelled texts, `mass` where they are too "
        "few; rules: the older gap tests; never: a leaf",
    )
    accuracy_target: float = Field(0.80, gt=0, lt=1, description="probability that a returned node must reach")
    abstain: bool = Field(True, description="give no answer to texts that belong nowhere")
    min_descent_gap: float = Field(0.05, ge=0, description="rules: least lead of the best child")
    enable_parent_veto: bool = Field(False, description="rules: stop when the parent is as good as its best child")
    parent_veto_margin: float = Field(0.03, ge=0, description="rules: margin of the veto")
    only_child_margin: float = Field(0.02, ge=0, description="rules: an only child may score this much less than its parent")
    stop_on_low_spread: float | None = Field(None, ge=0, description="rules: stop when children differ by less")
    stop_on_decrease: bool = Field(False, description="rules: stop when the child scores less than its parent")
    max_depth: int | None = Field(None, ge=1, description="deepest level of an answer")
    validation_threshold: float = Field(0.05, ge=0, description="rules: lead that lets a leaf elsewhere override")
    validation_stability_margin: float | None = Field(None, ge=0, description="rules: its lead over the next leaf")
    validation_deepen: bool = Field(False, description="rules: go on to the best leaf below when it scores clearly better")
    validation_deepen_margin: float = Field(0.08, ge=0, description="rules: how much better that leaf must score")
    alternatives: int = Field(3, ge=0, le=50, description="alternatives kept per answer")
    top_codes: int = Field(20, ge=1, le=1000, description="ranked leaves kept per answer")


class ScoringSettings(Group):
    """How views become one score."""

    view_pooling: Literal["fusion", "max", "top2_mean"] = Field(
        "fusion", description="fusion: weighted sum; else the older ways"
    )
    short_query_tokens: int = Field(2, ge=0, description="max pooling: texts up to this many words use the label only")
    negative_weight: float = Field(0.5, ge=0, description="penalty for being nearer to a negative example")
    use_updated_evidence: bool = Field(True, description="false: corrections change no answer")
    evidence_tau: float = Field(10.0, gt=0, description="older poolings: corrections at which half of a label comes from them")
    evidence_max_beta: float = Field(0.8, ge=0, le=1, description="older poolings: largest share of corrections in a label")
    crosslingual: str = Field(
        "shipped",
        min_length=1,
        description="student for languages that the encoder does not read: shipped (when it fits the encoder), off, or a file "
        "that `taxomind crosslingual train` has written",
    )
    adapt: bool = Field(
        True,
        description="fit the encoder to a taxonomy's own texts when its index is built, which places more texts right; "
        "false: builds take some seconds less",
    )


class ReportSettings(Group):
    """Which columns of labelled files hold what, where their names do not say so."""

    text_columns: tuple[str, ...] = Field((), description="columns whose values make the text, in files that have them")
    code_columns: tuple[str, ...] = Field((), description="column of the code, or one per level from the top")


class ModelsSettings(Group):
    """What supervised models are made of and trained on, unless a training says otherwise."""

    preset: Literal["fast", "balanced", "combined", "best"] = Field(
        "combined",
        description="fast: words; balanced: sentence vectors; combined: both; best: a fine-tuned encoder (slow)",
    )
    hierarchy: Literal["flat", "per_parent", "per_level"] = Field(
        "flat", description="one classifier over all codes, one for each parent, or one for each level"
    )
    class_weight: Literal["none", "balanced", "sqrt"] = Field("none", description="how rare codes are lifted")
    validation_share: float = Field(
        0.1, gt=0, le=0.5, description="share of the texts drawn for validation, where files name none"
    )
    test_share: float = Field(0.1, ge=0, le=0.5, description="share of the texts drawn for the test, where files name none")
    group_column: str = Field("group", min_length=1, description="column whose rows stay together in one split")
    seed: int = Field(42, ge=0, description="seed of drawing and training")
    node_texts: bool = Field(True, description="train on labels, definitions and examples of the taxonomy as well")
    corrections: bool = Field(True, description="train on corrections as well")
    keep: int = Field(10, ge=1, description="versions that are kept besides the promoted one")
    tuning_metric: Literal["accuracy", "macro_f1", "hF1"] = Field(
        "accuracy", description="measure on validation texts that `taxomind models tune` looks for the best of"
    )
    variant: Literal["source", "auto", "onnx", "onnx-optimized", "onnx-int8"] = Field(
        "source",
        description="form in which the promoted version answers: as it was trained, the fastest export that the gate let "
        "pass (auto), or that export; one that may not be served is replaced by the source",
    )
    vote: bool = Field(True, description="the promoted version takes part in answers; false: it is only asked by itself")


class LlmSettings(Group):
    """Which language model is asked, and at what price. Nothing is asked unless another setting wants it."""

    model: str = Field("gpt-4.1-mini", min_length=1, description="name of the model at the endpoint")
    base_url: str = Field("https://api.openai.com/v1", description="address of an OpenAI-compatible chat endpoint")
    allowed_urls: tuple[str, ...] = Field(
        (), description="addresses that may be asked besides the default one and those of this machine"
    )
    api_key: str | None = Field(None, description="its key; OPENAI_API_KEY when null", repr=False)
    structured_output: Literal["auto", "json_schema", "text"] = Field(
        "auto", description="json_schema: the endpoint enforces the schema; text: the prompt asks for it; auto: whichever works"
    )
    concurrency: int = Field(8, ge=1, le=256, description="questions under way at a time")
    requests_per_minute: int = Field(500, ge=1, description="rate limit towards the endpoint")
    timeout_s: float = Field(120.0, gt=0, description="seconds for one question, further tries included")
    max_retries: int = Field(3, ge=0, le=20, description="tries after a failed one, with growing pauses")
    max_output_tokens: int = Field(1024, ge=16, description="longest answer in tokens")
    cache: bool = Field(True, description="keep answers on disk, so that no question is paid twice")
    input_price: float | None = Field(
        None, ge=0, description="US dollars for a million input tokens; null = the known price of the default model"
    )
    output_price: float | None = Field(
        None, ge=0, description="US dollars for a million output tokens; null = the known price of the default model"
    )


class EnrichmentSettings(Group):
    """A language model writes further texts for the nodes. They are checked, marked and kept beside those of the file."""

    enabled: bool = Field(
        False, description="ask the model of the group `llm` when a taxonomy is built; its texts leave this machine then"
    )
    apply: bool = Field(True, description="use the accepted texts; false: only keep them in taxonomy.enrichment")
    nodes: Literal["all", "poor"] = Field("all", description="poor: nodes without a definition or with less than two examples")
    languages: tuple[str, ...] = Field((), description="languages to write in; none named = those of the node's own texts")
    examples: int = Field(4, ge=0, le=20, description="examples of a node in one language")
    phrases: int = Field(2, ge=0, le=10, description="phrases that belong to a node, and as many that only seem to")
    similar_labels: int = Field(2, ge=0, le=10, description="nearest nodes of the same level that the model sees")
    concurrency: int | None = Field(None, ge=1, le=256, description="questions under way at a time; null = llm.concurrency")
    max_cost: float | None = Field(5.0, ge=0, description="US dollars that one run may cost at most; null = no limit")


class JudgeSettings(Group):
    """A language model decides ambiguous answers, among the listed alternatives or the answer itself."""

    enabled: bool = Field(False, description="ask the model of the group `llm`; texts leave this machine unless it runs here")
    timeout_s: float = Field(30.0, gt=0, description="seconds for one question, further tries included")
    max_text_characters: int = Field(2000, ge=100, description="characters of a text that the model sees")
    max_description_characters: int = Field(500, ge=0, description="characters of each node's description that it sees")


class RerankerSettings(Group):
    """A cross-encoder decides ambiguous answers, among the listed alternatives."""

    model: str | None = Field(None, description="folder, or hub name with a revision; null = no reranker")
    revision: str | None = Field(None, description="commit of a hub model, 40 hexadecimal digits")
    margin: float = Field(0.3, ge=0, le=1, description="lead over the next candidate that a choice needs, in probability")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="device of the model")
    batch_size: int = Field(32, ge=1, description="pairs of text and node in one batch")
    max_tokens: int | None = Field(None, ge=16, description="token limit of one pair; null = the model's own")


class EngineSettings(Group):
    """Who classifies the shards of text files: this process, or workers of Ray on this machine or many."""

    kind: Literal["local", "ray"] = Field("local", description="local: this process; ray: needs `taxomind[ray]`")
    address: str | None = Field(None, description="address of a Ray cluster; null = Ray on this machine")
    workers: int | None = Field(None, ge=1, description="Ray workers, each with its own models; null = one per machine")


class GrowthSettings(Group):
    """When texts that do not fit are proposed as a new node. A person decides; nothing is written otherwise."""

    window_days: int = Field(14, ge=1, description="days back from now whose observations count")
    min_count: int = Field(5, ge=2, description="distinct texts that a candidate needs")
    min_days: int = Field(3, ge=0, description="whole days between its first and its last text")
    long_window_days: int = Field(90, ge=0, description="second window, for slow topics; 0 = none")
    long_min_days: int = Field(14, ge=0, description="whole days between first and last text in the second window")
    low_confidence: float = Field(0.35, ge=0, le=1, description="answers below this probability count as not fitting")
    clusters: bool = Field(True, description="group texts that do not fit and name the groups by their words")
    group_probability: float = Field(
        0.4,
        ge=0,
        le=1,
        description="probability of being a missing node that a group needs; lower finds more, and more wrong ones",
    )
    most_texts: int = Field(5000, ge=10, description="texts that are grouped: those that do not fit, then the newest others")
    trials: int = Field(10, ge=0, description="candidates that are tried out when they are found")
    skip_cooldown_days: int = Field(7, ge=0, description="days for which a skipped candidate is not shown")
    store_titles: bool = Field(True, description="keep titles and texts in growth.observations; false: ids alone, no groups")
    label_by_llm: bool = Field(False, description="ask the model of the group `llm` what texts that do not fit are about")
    llm_texts: int = Field(200, ge=1, description="texts that it is asked about in one run")
    singular_forms: dict[str, str] = Field({}, description="further irregular plurals, plural = singular")
    plain_words: tuple[str, ...] = Field((), description="further words that end in s and are no plurals")


class ServiceSettings(Group):
    """The HTTP service: who may ask, how much, and how long answers are kept."""

    host: str = Field("127.0.0.1", min_length=1, description="address that it listens on")
    port: int = Field(8000, ge=1, le=65535, description="its port; PORT when that variable is set")
    ui_port: int = Field(3000, ge=1, le=65535, description="port of Dagster's web interface, on this machine only")
    auth_enabled: bool = Field(
        True, description="ask for a token; false only on an address of this machine; API_AUTH_ENABLED when that is set"
    )
    tenants: tuple[str, ...] = Field(
        ("local",),
        min_length=1,
        description="tenants of the tokens in API_TOKENS, API_TOKEN and API_TOKENS_FILE and of callers without one, the first "
        "is the default; * = any; local = the taxonomies of the command line",
    )
    workers: int = Field(2, ge=1, le=64, description="processes that work on jobs, each with its own models")
    small_rows: int = Field(2000, ge=0, description="larger jobs leave the first worker free, when there are several")
    attempts: int = Field(3, ge=1, description="times that a job is taken up when the process that works on it dies")
    stale_s: float = Field(120.0, gt=0, description="seconds without a heartbeat after which a worker elsewhere counts as dead")
    time_limit_s: float = Field(6 * 3600.0, gt=0, description="seconds that one job may take")
    max_body_bytes: int = Field(64 * 1024**2, ge=1024, description="bytes of a request")
    max_sentences: int = Field(100_000, ge=1, description="texts of a request")
    max_fields: int = Field(50, ge=1, description="fields of a text")
    requests_per_minute: int = Field(600, ge=1, description="requests that start work, per token")
    reads_per_minute: int = Field(6000, ge=60, description="other requests, per token")
    keep_days: float = Field(7.0, gt=0, description="days for which jobs and their results are kept after their end")
    keep_ids_days: float = Field(30.0, ge=0, description="days after that for which an id is still known as expired")
    training_hosts: tuple[str, ...] = Field(
        (),
        description="hosts that training data may be fetched from, *.name for all below one; none = never; "
        "LEARN_URL_ALLOWED_HOSTS (separated by commas) adds to them",
    )
    training_http: bool = Field(False, description="fetch training data without encryption as well")
    training_timeout_s: float = Field(120.0, gt=0, description="seconds to fetch training data")
    training_wire_bytes: int = Field(100 * 1024**2, ge=1, description="bytes of training data as they are sent")
    training_bytes: int = Field(500 * 1024**2, ge=1, description="bytes of training data unpacked")
    trusted_proxies: tuple[str, ...] = Field(
        ("127.0.0.1",), description="addresses or networks of proxies that are believed whom they answer for, and how (TLS)"
    )
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may call it from a browser; none = none")
    resident: int = Field(8, ge=1, description="taxonomies that are kept ready to answer at once, those asked for last")
    sync_texts: int = Field(1000, ge=1, description="texts of a request that is answered at once (POST /v1/classify)")
    explained_texts: int = Field(50, ge=1, description="texts of such a request with explanations")
    session_hours: float = Field(12.0, gt=0, description="hours after which the review page asks for a token again")


class DatabaseSettings(Group):
    """Where the service's jobs and Dagster's records are kept. Inputs, outputs and indexes are files below the data root."""

    url: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        description="postgresql://user:password@host:5432/database, by `taxomind[postgres]`; null = files of SQLite",
        repr=False,
    )
    password_file: str | None = Field(None, min_length=1, description="file that holds the password, when the address has none")

    def address(self) -> str | None:
        """The address with its password; None = files of SQLite.

        Raises:
            Fault: `invalid_setting` when the password cannot be read.
        """
        if self.url is None or self.password_file is None:
            return self.url
        try:
            password = Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = f"database.password_file cannot be read: {error}."
            raise Fault("invalid_setting", what, value=self.password_file, allowed="a file with a password") from error
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}"))


class AlertSettings(Group):
    """Who is told when a run or a job fails. The daemon tells; without any of these it only notes it in the sensor's log."""

    webhook_url: str | None = Field(
        None, pattern=r"^https?://", description="address that gets a POST of JSON: title, text, and what failed", repr=False
    )
    email_to: tuple[str, ...] = Field((), description="addresses that get an e-mail; none = none")
    email_from: str = Field("taxomind@localhost", min_length=3, description="address that it comes from")
    smtp_host: str = Field("localhost", min_length=1, description="server that takes e-mail")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_encryption: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    smtp_user: str | None = Field(None, description="user there; null = none is needed")
    smtp_password: str | None = Field(None, description="the user's password", repr=False)


class LimitSettings(Group):
    """What an input may be at most."""

    max_nodes: int = Field(100_000, ge=1, description="nodes of a taxonomy")
    max_cell_characters: int = Field(20_000, ge=1, description="characters of one text cell")
    max_code_characters: int = Field(256, ge=1, description="characters of a code")
    max_file_bytes: int = Field(4 * 1024**3, ge=1, description="bytes of an input file")
    shard_rows: int = Field(50_000, ge=1, description="texts written to one result file")
    settle_s: float = Field(2.0, ge=0, description="seconds that a file in the inbox must have rested")
