//! Where the lines of a rendered chart come from.
#![allow(clippy::disallowed_methods)]

use helm::provenance::{ValueFiles, trace};
use helm::{Chart, NoCluster, RenderOptions, Values};

const TEMPLATE: &str = "kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  {{- with .Values.labels }}
  labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  image: {{ .Values.image.name }}:{{ .Values.image.tag }}
  {{- range $key, $value := .Values.extra }}
  {{ $key }}: {{ $value.text }}
  {{- end }}
  {{- include \"helper\" . | nindent 2 }}
{{ define \"helper\" }}helped: {{ .Values.helped }}{{ end }}
";

#[test]
fn lines_name_their_template_and_values() {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: top\nversion: 0.1.0\n"),
        (
            "values.yaml",
            "labels:\n  a: b\n  c: d\nimage:\n  name: x\n  tag: one\nextra:\n  k:\n    text: t\nhelped: yes\n",
        ),
        ("templates/a.yaml", TEMPLATE),
        ("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 0.1.0\n"),
        ("charts/sub/values.yaml", "# own\nport: 80\n"),
        ("charts/sub/templates/b.yaml", "port: {{ .Values.port }}\n"),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
    let chart = Chart::from_files(files).unwrap();
    let mut places = ValueFiles::of_chart(&chart);
    let mut values = Values::parse("image:\n  tag: two\n").unwrap().unwrap();
    places.add_file("mine.yaml", "image:\n  tag: two\n");
    values.set("helped=no").unwrap();
    let mut alone = Values::new();
    alone.set("helped=no").unwrap();
    places.add_set("--set helped=no", alone);
    let world = NoCluster::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]);
    let traced = trace(&chart, &values, &RenderOptions::default(), &world).unwrap();
    let mut shown = Vec::new();
    for line in traced.iter().flat_map(|file| &file.lines).filter(|line| !line.text.is_empty()) {
        let values: Vec<String> =
            line.values.iter().map(|path| format!("{path} {:?}", places.find(path))).collect();
        let template = line.template.rsplit('/').next().unwrap();
        shown.push(format!("{} | {template}:{} | {}", line.text, line.line, values.join(", ")));
    }
    let expected = [
        "port: 80 | b.yaml:1 | sub.port Some((\"charts/sub/values.yaml\", Some(2)))",
        "kind: ConfigMap | a.yaml:1 | ",
        "metadata: | a.yaml:2 | ",
        "  name: release-name | a.yaml:3 | ",
        "  labels: | a.yaml:5 | ",
        "    a: b | a.yaml:6 | labels Some((\"values.yaml\", Some(1)))",
        "    c: d | a.yaml:6 | labels Some((\"values.yaml\", Some(1)))",
        "data: | a.yaml:8 | ",
        "  image: x:two | a.yaml:9 | image.name Some((\"values.yaml\", Some(5))), image.tag Some((\"mine.yaml\", Some(2)))",
        "  k: t | a.yaml:11 | extra.k.text Some((\"values.yaml\", Some(9)))",
        "  helped: no | a.yaml:13 | helped Some((\"--set helped=no\", None))",
    ];
    assert_eq!(shown, expected);
}
