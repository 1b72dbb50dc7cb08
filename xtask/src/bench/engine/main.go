// Renders a chart again and again with Helm's own packages: what landfall's example `render` is measured with.
// Usage: engine CHART.tgz TIMES
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	times, err := strconv.Atoi(os.Args[2])
	check(err)
	chart, err := loader.Load(os.Args[1])
	check(err)
	check(chartutil.ProcessDependenciesWithMerge(chart, map[string]interface{}{}))
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	release := chartutil.ReleaseOptions{Name: "release-name", Namespace: "ns", Revision: 1, IsInstall: true}
	fastest := time.Hour
	for range times {
		start := time.Now()
		values, err := chartutil.ToRenderValues(chart, map[string]interface{}{}, release, capabilities)
		check(err)
		files, err := engine.Render(chart, values)
		check(err)
		for name := range files {
			if len(name) > 9 && name[len(name)-9:] == "NOTES.txt" {
				delete(files, name)
			}
		}
		_, _, err = releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
		check(err)
		fastest = min(fastest, time.Since(start))
	}
	fmt.Printf("fastest render %.2f ms\n", fastest.Seconds()*1e3)
}
