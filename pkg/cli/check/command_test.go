// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/check"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`

func TestErrorsNameTheFlag(t *testing.T) {
	t.Setenv("WOVEN_SANDBOX_HOME", t.TempDir())
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(config, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no kubeconfig":  {[]string{"--kubeconfig=/does/not/exist"}, "--kubeconfig"},
		"no NB":          {[]string{"--kubeconfig", config}, "--ovn-nb-addr: it is empty"},
		"no SB":          {[]string{"--kubeconfig", config, "--ovn-nb-addr=tcp:127.0.0.1:1"}, "--ovn-sb-addr: it is empty"},
		"not an address": {[]string{"--kubeconfig", config, "--ovn-nb-addr=127.0.0.1"}, "--ovn-nb-addr"},
		"TLS half":       {[]string{"--kubeconfig", config, "--ovn-nb-addr=ssl:127.0.0.1:1", "--tls-cert=/does/not/exist"}, "/does/not/exist"},
		"unknown nodes":  {[]string{"--nodes=all"}, `--nodes: "all"`},
		"no sandbox":     {[]string{"--nodes=sandbox:none"}, `no sandbox "none"`},
		"no API server": {
			[]string{"--kubeconfig", config, "--ovn-nb-addr=unix:/does/not/exist", "--ovn-sb-addr=unix:/does/not/exist", "--timeout=2s"}, "127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := NewCommand()
			cmd.SetArgs(c.args)
			err := cmd.ExecuteContext(t.Context())
			if err == nil || errors.Is(err, errDifferences) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	if err := report(&out, nil); err != nil || out.String() != "no difference\n" {
		t.Errorf("without differences: %q, %v", out.String(), err)
	}
	out.Reset()
	err := report(&out, []check.Difference{{Check: "nb", Message: "NB port a has no pod"}})
	if !errors.Is(err, errDifferences) || out.String() != "nb: NB port a has no pod\n" {
		t.Errorf("with a difference: %q, %v", out.String(), err)
	}
}
