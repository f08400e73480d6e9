# Tables: printed beside ours. A table refuses results that were not made from today's rows.


def table_inputs(wildcards):
    table = TABLES[wildcards.paper, wildcards.table]
    if table.kind == "datasets":
        names = PLAN.table_datasets(table)
        return [P.canonical(n) / record for n in names for record in ("import.json", "lungs.json")]
    runs = PLAN.table_runs(wildcards.paper, table)
    return [P.run(r) / "cases.csv" for r in runs] + [j for r in runs for j in jobs_of(r, "run.json")]


rule table:
    message:
        "table {wildcards.table} of {wildcards.paper}"
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
    params:
        spec=lambda w: PLAN.table_hash(w.paper, w.table),
        code=code("tables"),
    resources:
        mem_mb=1000,
        runtime=20,
    conda:
        ENV
    shell:
        "{COVIDSEG} table {wildcards.paper} {wildcards.table} 2> {log}"
