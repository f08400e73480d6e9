# Tables: printed beside ours. A table refuses results that were not made from today's rows.


TABLE = Made("table")


rule table:
    input:
        TABLE.inputs,
    output:
        record=P.table("{paper}", "{table}", "json"),
        csv=P.table("{paper}", "{table}", "csv"),
        md=P.table("{paper}", "{table}", "md"),
        tex=P.table("{paper}", "{table}", "tex"),
        html=report(
            P.table("{paper}", "{table}", "html"),
            caption="../report/table.rst",
            category="Tables",
            subcategory="{paper}",
            labels={"table": "{table}"},
        ),
    log:
        LOGS / "table" / "{paper}" / "{table}.log",
    conda:
        ENV
    threads: lambda w: TABLE.needs(w).threads
    resources:
        gpu=lambda w: TABLE.needs(w).gpus,
        mem_mb=lambda w, attempt: attempt * TABLE.needs(w).memory_mb,
        runtime=lambda w, attempt: attempt * TABLE.needs(w).minutes,
    params:
        spec=lambda w: PLAN.fingerprints.table(w.paper, w.table),
        code=TABLE.code,
    message:
        "table {wildcards.table} of {wildcards.paper}"
    shell:
        "covidseg table {wildcards.paper:q} {wildcards.table:q} 2> {log:q}"
