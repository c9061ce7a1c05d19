package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	testclock "k8s.io/utils/clock/testing"
)

func TestOutageIsToldOnce(t *testing.T) {
	var lines []string
	clk := testclock.NewFakePassiveClock(epoch)
	o := &Outage{Server: "https://there", Clock: clk, Log: funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})}
	refused := errors.New("connection refused")
	for i := range 10 { // several requests, one cause
		o.Unreachable(fmt.Errorf("do: %w", &url.Error{Op: "Get", URL: fmt.Sprintf("https://there/%d", i), Err: refused}))
	}
	if len(lines) != 1 || !strings.Contains(lines[0], `"server"="https://there" "cause"="connection refused"`) {
		t.Fatalf("lines are %q", lines)
	}
	o.Report("something else", refused)
	clk.SetTime(epoch.Add(quietTime))
	o.Unreachable(refused)
	if len(lines) != 3 {
		t.Errorf("lines are %q", lines)
	}
	if o.Unreachable(apierrors.NewInternalError(errors.New("broken"))) {
		t.Error("an answer of the API server counts as unreachable")
	}
	lines = nil
	for _, err := range []error{io.EOF, apierrors.NewResourceExpired("too old")} {
		o.WatchError(context.Background(), nil, err)
	}
	if len(lines) != 0 {
		t.Errorf("the life of a watch is told: %q", lines)
	}
}

func TestMissingCustomResourceDefinitionsAreNamed(t *testing.T) {
	missing := missingFrom(map[string]bool{"Subnet": true, "Other": true})
	if got := strings.Join(missing, " "); got != "vpcs.kubeovn.io ippools.kubeovn.io ips.kubeovn.io" {
		t.Errorf("missing are %s", got)
	}
	if missing := missingFrom(map[string]bool{"Subnet": true, "Vpc": true, "IP": true, "IPPool": true}); len(missing) != 0 {
		t.Errorf("missing are %v", missing)
	}
}
