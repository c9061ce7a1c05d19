// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ControllerProcess is a running woven-controller.
type ControllerProcess struct {
	*Process
	url string
}

// StartController runs the program cmd/controller against a server and a northbound database, with short lease times.
// flags are appended.
func StartController(t testing.TB, s *Server, program, nbEndpoint string, flags ...string) *ControllerProcess {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	args := append([]string{
		"--kubeconfig=" + s.Kubeconfig(Controller), "--ovn-nb-addr=" + nbEndpoint,
		"--bind-address=127.0.0.1", "--pprof-port=" + port, "--health-probe-bind-address=0", "--enable-pprof", "--namespace-subnet-cidrs=10.44.0.0/16",
		"--leader-elect-lease-duration=6s", "--leader-elect-renew-deadline=4s", "--leader-elect-retry-period=1s",
	}, flags...)
	log := filepath.Join(t.TempDir(), "controller.log")
	return &ControllerProcess{Process: Run(t, log, program, args...), url: "http://127.0.0.1:" + port}
}

// Get reads an HTTP path of the controller, such as /metrics.
func (c *ControllerProcess) Get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
	}
	return string(body), err
}

// Metric returns the sum of the series in /metrics that begin with a text; 0 if there are none.
func (c *ControllerProcess) Metric(t testing.TB, series string) float64 {
	t.Helper()
	page, err := c.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, series) {
			continue
		}
		words := strings.Fields(line)
		value, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil {
			t.Fatalf("/metrics: %q: %v", line, err)
		}
		total += value
	}
	return total
}
