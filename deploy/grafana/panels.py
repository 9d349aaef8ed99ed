"""What the dashboards are made of: panels, variables and links as Abdrift uses them, over Grafana's own library.

Queries are written once for Prometheus and the templates: `$site` and its like are regular expressions of what was
chosen. A gauge of the fleet is taken by `max by`, so that two exporters count a cluster once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, dashboard, geomap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, prometheus
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import geomap as geomap_models

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
KIBANA_DEFAULT: Final = "http://localhost:5601"
PLACE: Final = 'site=~"$site",region=~"$region",environment=~"$environment"'
GOOD, MEDIUM, BAD, UNKNOWN = "green", "orange", "red", "purple"
STATUS_COLOURS: Final = {"healthy": GOOD, "degraded": MEDIUM, "failing": BAD, "unknown": UNKNOWN}
FULL, HALF, THIRD, QUARTER, SIXTH = 24, 12, 8, 6, 4

Panel = Builder[models.Panel]
Shown = TypeVar("Shown", stat.Panel, timeseries.Panel, table.Panel, bargauge.Panel, statetimeline.Panel, geomap.Panel)
Thresholds = Sequence[tuple[float | None, str]]
"""From which value on a colour holds; None for from below."""


def per_second(by: str, metric: str, where: str = "") -> str:
    """Return the query for a counter's rate, summed by labels."""
    selected = f"{metric}{{{where}}}" if where else metric
    return f"sum by ({by}) (rate({selected}[$__rate_interval]))"


def percentile(percent: int, by: str, histogram: str, where: str = "") -> str:
    """Return the query for a histogram's percentile by labels; `by` may be empty."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({percent / 100:g}, {per_second(labels, f'{histogram}_bucket', where)})"


def page(title: str, uid: str, description: str, *variables: Any) -> dashboard.Dashboard:
    """Return a dashboard with the variables that all have, and links to the others and to Kibana."""
    made = (
        dashboard.Dashboard(f"Abdrift / {title}")
        .uid(uid)
        .description(description)
        .tags(["abdrift"])
        .timezone("utc")
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(others())
        .link(kibana("Kibana: fleet drift", "abdrift-drift"))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(dashboard.TextBoxVariable("kibana").label("Kibana").default_value(KIBANA_DEFAULT))
    )
    for variable in variables:
        made = made.with_variable(variable)
    return made


def others() -> dashboard.DashboardLink:
    """Return the menu of Abdrift's dashboards, which takes time and variables along."""
    return (
        dashboard.DashboardLink("Abdrift")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["abdrift"])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def link(title: str, url: str) -> dashboard.DashboardLink:
    """Return a link, opened beside what is looked at where it leads out of Grafana."""
    leaves = not url.startswith("/d/")
    return (
        dashboard.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(url)
        .keep_time(keep_time=not leaves)
        .target_blank(target_blank=leaves)
    )


def kibana(title: str, board: str, **values: str) -> dashboard.DashboardLink:
    """Return a link to a dashboard of deploy/kibana, narrowed to documents whose fields have these values.

    A field is named with `__` in place of its dots.
    """
    query = "%20and%20".join(f"{field.replace('__', '.')}:%22{value}%22" for field, value in values.items())
    narrowed = f"?_a=(query:(language:kuery,query:'{query}'))" if query else ""
    return link(title, f"$kibana/app/dashboards#/view/{board}{narrowed}")


def chosen(name: str, metric: str, *, label: str | None = None, many: bool = True) -> dashboard.QueryVariable:
    """Return a variable with the values of a metric's label: any number of them, or just one."""
    variable = (
        dashboard.QueryVariable(name)
        .label(name.replace("_", " ").capitalize())
        .datasource(SOURCE)
        .query(f"label_values({metric}, {label or name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if not many:
        return variable
    every = models.VariableOption(text="All", value="$__all")
    return variable.multi(multi=True).include_all(include_all=True).all_value(".*").current(every)


def places() -> tuple[dashboard.QueryVariable, ...]:
    """Return the variables behind `PLACE`."""
    return tuple(chosen(name, "abdrift_fleet_clusters") for name in ("region", "environment", "site"))


def tile(title: str, promql: str, help_text: str, **given: Any) -> stat.Panel:
    """Return one number, or one tile for each series where `name` tells them apart."""
    name = given.pop("name", None)
    panel = _panel(
        stat.Panel(), title, help_text, {name or "": promql}, instant=True, **{"width": SIXTH, "height": 4, **given}
    )
    panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(_newest())
    return panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME) if name else panel


def lines(title: str, promql: Mapping[str, str], help_text: str, **given: Any) -> timeseries.Panel:
    """Return lines over time: queries by how their series are called."""
    stacked = given.pop("stacked", False)
    panel = _panel(
        timeseries.Panel(), title, help_text, promql, instant=False, **{"width": THIRD, "height": 8, **given}
    )
    panel.legend(
        common_builders.VizLegendOptions().show_legend(show_legend=True).placement(common.LegendPlacement.BOTTOM)
    )
    if stacked:
        panel.fill_opacity(60).stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    return panel


def rows(title: str, promql: str, help_text: str, **given: Any) -> table.Panel:
    """Return a table with a row for each series: its labels, and its value under `value`."""
    value = given.pop("value", "Value")
    hidden = {"Time": True, **dict.fromkeys(given.pop("hidden", ()), True)}
    panel = _panel(table.Panel(), title, help_text, {"": promql}, instant=True, **{"width": FULL, "height": 8, **given})
    named = {"excludeByName": hidden, "renameByName": {"Value": value}}
    panel.show_header(show_header=True).cell_height(common.TableCellHeight.SM)
    return panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=named))


def bars(title: str, promql: str, name: str, help_text: str, **given: Any) -> bargauge.Panel:
    """Return a bar for each series."""
    given = {"width": THIRD, "height": 8, **given}
    panel = _panel(bargauge.Panel(), title, help_text, {name: promql}, instant=True, **given)
    return panel.orientation(common.VizOrientation.HORIZONTAL).reduce_options(_newest())


def states(title: str, promql: str, name: str, help_text: str, **given: Any) -> statetimeline.Panel:
    """Return what a value meant over time."""
    given = {"width": FULL, "height": 5, **given}
    panel = _panel(statetimeline.Panel(), title, help_text, {name: promql}, instant=False, **given)
    return panel.merge_values(merge_values=True)


def site_map(title: str, promql: str, help_text: str, **given: Any) -> geomap.Panel:
    """Return series with the labels latitude and longitude as circles on a map, coloured by their value."""
    given = {"width": HALF, "height": 12, **given}
    numbers = [{"targetField": name, "destinationType": "number"} for name in ("latitude", "longitude")]
    circle = {"style": {"color": {"field": "Value", "fixed": GOOD}, "size": {"fixed": 8}, "text": {"field": "site"}}}
    layer = (
        common_builders.MapLayerOptions()
        .type("markers")
        .name("sites")
        .location(
            common_builders.FrameGeometrySource()
            .mode(common.FrameGeometrySourceMode.COORDS)
            .latitude("latitude")
            .longitude("longitude")
        )
        .config(circle)
        .tooltip(tooltip=True)
    )
    panel = _panel(geomap.Panel(), title, help_text, {"": promql}, instant=True, **given)
    panel.with_transformation(models.DataTransformerConfig(id_val="convertFieldType", options={"conversions": numbers}))
    panel.basemap(common_builders.MapLayerOptions().type("default").name("basemap"))
    panel.tooltip(geomap.TooltipOptions().mode(geomap_models.TooltipMode.DETAILS))
    return panel.layers([layer]).view(geomap.MapViewConfig().id("fit").all_layers(all_layers=True))


def row(title: str) -> dashboard.Row:
    """Return a heading."""
    return dashboard.Row(title)


def words(meant: Mapping[float, tuple[str, str]]) -> list[Any]:
    """Return mappings of values to words and colours."""
    options = {
        f"{value:g}": models.ValueMappingResult(text=text, color=colour) for value, (text, colour) in meant.items()
    }
    return [models.ValueMap(options=options)]


def _panel(
    panel: Shown, title: str, help_text: str, promql: Mapping[str, str], *, instant: bool, **given: Any
) -> Shown:
    """Fill in what all kinds of panels have; `given` are width, height, unit, thresholds, words, links and colours."""
    panel.title(title).description(help_text).datasource(SOURCE).span(given["width"]).height(given["height"])
    as_table = isinstance(panel, table.Panel | geomap.Panel)
    shape = prometheus.PromQueryFormat.TABLE if as_table else prometheus.PromQueryFormat.TIME_SERIES
    for number, (name, text) in enumerate(promql.items()):
        query = queries.Dataquery().expr(text).ref_id(chr(ord("A") + number)).legend_format(name or "__auto")
        if instant:
            query.instant().format(shape)
        panel.with_target(query)
    if unit := given.get("unit"):
        panel.unit(unit)
    if steps := given.get("thresholds"):
        panel.thresholds(_thresholds(steps)).color_scheme(
            dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
        )
    if meant := given.get("words"):
        panel.mappings(words(meant))
    if links := given.get("links"):
        panel.data_links(list(links))
    for name, colour in given.get("colours", {}).items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        panel.override_by_name(name, [models.DynamicConfigValue(id_val="color", value=fixed)])
    for name, unit in given.get("units", {}).items():
        panel.override_by_name(name, [models.DynamicConfigValue(id_val="unit", value=unit)])
    return panel


def _newest() -> common_builders.ReduceDataOptions:
    return common_builders.ReduceDataOptions().calcs(["lastNotNull"])


def _thresholds(steps: Thresholds) -> dashboard.ThresholdsConfig:
    made = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)
