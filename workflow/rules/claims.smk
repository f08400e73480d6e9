# Claims: sentences of a paper, tested on its runs. Results that were not made from today's rows are refused.


rule claims:
    input:
        claims_inputs,
    output:
        record=P.claims("{paper}", "json"),
        csv=P.claims("{paper}", "csv"),
        md=P.claims("{paper}", "md"),
        html=report(
            P.claims("{paper}", "html"),
            caption="../report/claims.rst",
            category="Claims",
            subcategory="{paper}",
            labels={"paper": "{paper}"},
        ),
    log:
        LOGS / "claims" / "{paper}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        spec=lambda w: PLAN.fingerprints.claims(w.paper),
        code=code("claims"),
    message:
        "claims of {wildcards.paper}"
    shell:
        "covidseg claims {wildcards.paper:q} 2> {log:q}"
