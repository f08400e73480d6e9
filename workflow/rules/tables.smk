# Tables: printed beside ours. A table refuses results that were not made from today's rows.


rule table:
    input:
        table_inputs,
    output:
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
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        spec=lambda w: PLAN.fingerprints.table(w.paper, w.table),
        code=code("tables"),
    message:
        "table {wildcards.table} of {wildcards.paper}"
    shell:
        "covidseg table {wildcards.paper:q} {wildcards.table:q} 2> {log:q}"
