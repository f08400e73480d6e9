"""Figures of examples: slices of data sets by rows; CT, true lesions and each class's share by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from covidseg.schema.base import Name, Strict, Unique
from covidseg.schema.exhibit import Figure, Reads

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets


class ExampleGroup(Strict):
    """Rows of a figure of examples: slices of one data set."""

    label: str = Field("", description="Stands beside the rows.")
    dataset: Name
    classes: Annotated[list[str], Unique] = Field(min_length=1)
    slices: int = Field(2, ge=1, le=20)
    healthy: int = Field(0, ge=0, le=20, description="So many slices without any lesion stand before them.")


class ExamplesFigure(Figure):
    """Slices by rows; CT, true lesions and each class's share of the slice by columns."""

    kind: Literal["examples"]
    groups: list[ExampleGroup] = Field(min_length=1)

    @property
    def datasets(self) -> list[str]:
        """Return the data sets of all groups."""
        return [group.dataset for group in self.groups]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check data sets and classes. Raises UserError."""
        for k, group in enumerate(self.groups):
            targets.catalogue.check_classes(group.dataset, group.classes, f"{where}.groups.{k}.classes")

    def ready(self, targets: Targets, paper: str) -> bool:
        """Return whether the data sets are used and, stand-ins too, have the classes."""

        def shows(group: ExampleGroup) -> bool:
            known = targets.catalogue.dataset(targets.catalogue.stands_for(group.dataset))
            return {*group.classes} <= {*known.classes, *known.unions}

        return super().ready(targets, paper) and all(map(shows, self.groups))

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the data sets."""
        return Reads(images=tuple(dict.fromkeys(map(targets.catalogue.stands_for, self.datasets))))

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return the classes of the data sets."""
        shown = [targets.catalogue.dataset(name) for name in self.reads(targets, paper).images]
        return [known.model_dump(mode="json", include={"classes", "unions"}) for known in shown]

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return the rule that chose the slices, mode and stand-ins."""
        from covidseg.figures.examples import rule

        used = {group.dataset: plan.catalogue.stands_for(group.dataset) for group in self.groups}
        rules: dict[str, list[str]] = {}
        for group in self.groups:
            rules.setdefault(rule(group.classes, group.slices, group.healthy), []).append(used[group.dataset])
        return [
            *(f"Slices of {', '.join(names)}: {how}" for how, names in rules.items()),
            "Bars: each class's share of the slice",
            f"Mode {plan.config.mode}" + (", phantom CT, not patients" if plan.config.mode == "demo" else ""),
            *(f"{new} stands in for {old}" for old, new in used.items() if new != old),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing."""
        from covidseg.figures import examples, page

        return page.draw(examples.rows(plan, self), True, page.note(plan))
