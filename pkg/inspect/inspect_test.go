// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// writer never finishes a write.
type writer struct{}

func (writer) Write(compile.Want, func(error)) {}
func (writer) HasStatus(model.Kind) bool       { return false }
func (writer) Report(engine.Report)            {}
func (writer) Repaired(engine.Repair)          {}
func (writer) Usage(addresses.Usage)           {}

// stopped is an engine between two steps.
type stopped struct{ core *engine.Core }

func (s stopped) Inspect(_ context.Context, fn func(*engine.Core)) error {
	fn(s.core)
	return nil
}

// hanging is an engine that never comes to the end of a step.
type hanging struct{}

func (hanging) Inspect(context.Context, func(*engine.Core)) error {
	return context.DeadlineExceeded
}

func subnet(name, cidr string) *model.Subnet {
	prefix := netip.MustParsePrefix(cidr)
	return &model.Subnet{
		Meta: model.Meta{Name: name}, Vpc: model.DefaultVpc, Provider: model.DefaultProvider,
		CIDR: model.Prefixes{V4: prefix}, Gateway: model.Addrs{V4: prefix.Addr().Next()},
	}
}

func pod(name, in string) *model.Pod {
	return &model.Pod{
		Meta: model.Meta{Namespace: "default", Name: name, UID: name}, Node: "n1",
		NICs: []model.PodNIC{{Provider: model.DefaultProvider, Subnet: in}},
	}
}

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	core := engine.NewCore(engine.Config{
		Functions: compile.Functions(compile.Config{ClusterRouter: model.DefaultVpc, NodeSwitch: "join", DefaultSubnet: "ovn-default"}),
		Writer:    writer{}, Now: func() time.Time { return time.Unix(0, 0) }, Log: logr.Discard(),
	})
	for ref, object := range map[model.Ref]any{
		{Kind: model.KindVpc, Name: model.DefaultVpc}:                 &model.Vpc{Meta: model.Meta{Name: model.DefaultVpc}},
		{Kind: model.KindNamespace, Name: "default"}:                  &model.Namespace{Meta: model.Meta{Name: "default"}},
		{Kind: model.KindSubnet, Name: "ovn-default"}:                 subnet("ovn-default", "10.16.0.0/16"),
		{Kind: model.KindPod, Namespace: "default", Name: "waits"}:    pod("waits", "missing"),
		{Kind: model.KindPod, Namespace: "default", Name: "recorded"}: pod("recorded", "ovn-default"),
		{Kind: model.KindIP, Name: "recorded.default"}: &model.IP{
			Meta: model.Meta{Name: "recorded.default"}, Subnet: "ovn-default", PodName: "recorded", Namespace: "default", NodeName: "n1",
			Addrs: model.Addrs{V4: netip.MustParseAddr("10.16.0.9")}, MAC: "02:00:00:00:00:09",
		},
	} {
		if err := core.Apply(engine.Change{Ref: ref, Object: object}); err != nil {
			t.Fatal(err)
		}
	}
	core.KubeSynced()
	core.Step()
	mux := http.NewServeMux()
	for path, handler := range Handlers(stopped{core}) {
		mux.Handle(path, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func why(t *testing.T, server *httptest.Server, object string) string {
	t.Helper()
	x, err := Fetch(t.Context(), server.Client(), server.URL, object)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Print(&out, x); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWhy(t *testing.T) {
	server := newServer(t)
	for object, want := range map[string][]string{
		"pod/default/waits": {
			"Pod/default/waits\n", "SubnetNotFound", "there is no Subnet missing", "Subnet//missing",
		},
		"Pod/default/recorded": {
			"Logical_Switch_Port recorded.default (", `addresses: ["02:00:00:00:00:09 10.16.0.9"]`,
			"waits for the start barrier", "IP//recorded.default", "annotate Pod/default/recorded: waits until the rows are in the database",
		},
		"subnet/ovn-default": {"Logical_Switch ovn-default (", "read by:\n", "Pod/default/recorded"},
		"subnet/missing":     {"does not exist, or the controller does not watch it", "Pod/default/waits"},
	} {
		t.Run(object, func(t *testing.T) {
			got := why(t, server, object)
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("no %q in:\n%s", text, got)
				}
			}
		})
	}
}

func TestPagesAreJSON(t *testing.T) {
	server := newServer(t)
	for page, want := range map[string]string{
		"owners": `"object": "Pod/default/waits"`, "blocked": "[]", "quarantine": "[]",
		"readers": `"read": "Subnet//missing`, "addresses": `"addresses": "10.16.0.9"`,
	} {
		response, err := server.Client().Get(server.URL + Path + page)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !json.Valid(body) || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, want %s in:\n%s", page, response.Status, err, want, body)
		}
	}
}

func TestWrongRequestsAreAnswered(t *testing.T) {
	server := newServer(t)
	for object, want := range map[string]string{
		"web":             "want KIND/NAMESPACE/NAME",
		"pod/default/":    "want KIND/NAMESPACE/NAME",
		"gateway/default": `there is no kind "gateway"`,
	} {
		if _, err := Fetch(t.Context(), server.Client(), server.URL, object); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", object, err, want)
		}
	}
	if _, err := Fetch(t.Context(), server.Client(), "localhost", "pod/a/b"); err == nil || !strings.Contains(err.Error(), "is not the URL of a controller") {
		t.Errorf("error %v", err)
	}
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	if _, err := Fetch(t.Context(), empty.Client(), empty.URL, "pod/a/b"); err == nil || !strings.Contains(err.Error(), "--enable-pprof") {
		t.Errorf("error %v, want one that names the flag", err)
	}
	response, err := server.Client().Post(server.URL+Path+"owners", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
}

func TestEngineThatHangs(t *testing.T) {
	server := httptest.NewServer(Handlers(hanging{})[Path+"blocked"])
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s, want 503", response.Status)
	}
}
