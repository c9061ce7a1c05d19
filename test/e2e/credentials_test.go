// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// The credentials of a node change nothing of other nodes: neither its OVN key in a database, nor its cniserver's in the
// API server.
func TestNodeCredentials(t *testing.T) {
	te := begin(t, shared)
	address := sandbox.ControlAddr().String()
	ctl := func(program, port string, args ...string) (string, error) {
		return te.cluster.NodeExec(t.Context(), 1, append([]string{
			program, "--timeout=10", "--db=ssl:" + net.JoinHostPort(address, port), "--private-key=/etc/ovn/node-key.pem", "--certificate=/etc/ovn/node-cert.pem",
			"--ca-cert=none", // whoever steals a key does not verify the server
		}, args...)...)
	}
	sb := func(args ...string) (string, error) { return ctl("ovn-sbctl", sandbox.SBPort, args...) }
	refused := func(what, wants, out string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), wants) {
			t.Errorf("%s: %q, %v, want an error with %q", what, out, err, wants)
		}
	}

	out, err := ctl("ovn-nbctl", sandbox.NBPort, "ls-add", "stolen")
	refused("a switch in the northbound database", "database connection failed", out, err)
	for what, args := range map[string][]string{
		"another chassis":           {"set", "Chassis", "n2", "external_ids:stolen=true"},
		"another chassis' tunnel":   {"set", "Encap", te.encap("n2"), "ip=192.0.2.1"},
		"deletion of a chassis":     {"chassis-del", "n2"},
		"a chassis that is no node": {"chassis-add", "n9", "geneve", "192.0.2.1"},
		"an open port":              {"set-connection", "ptcp:6650"},
		"a logical flow":            {"--all", "destroy", "Logical_Flow"},
		"a Service's backends":      {"--all", "destroy", "Load_Balancer"},
		"an address set":            {"--all", "destroy", "Address_Set"},
	} {
		out, err := sb(args...)
		refused(what, "permission error", out, err)
	}
	if out, err := sb("set", "Chassis", "n1", "external_ids:test=true", "--", "remove", "Chassis", "n1", "external_ids", "test"); err != nil {
		t.Errorf("its own chassis: %s, %v", out, err)
	}

	config, err := clientcmd.BuildConfigFromFlags("", te.cluster.Plan().Paths.PKI("woven-cniserver-n1.conf"))
	te.must(err, "read the cniserver's kubeconfig")
	config.Dial = te.cluster.DialControl
	api, err := kubernetes.NewForConfig(config)
	te.must(err, "create a client")
	patch := []byte(`{"metadata":{"annotations":{"` + annotations.Chassis + `":"n1"}}}`)
	if _, err := api.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Errorf("its own Node: %v", err)
	}
	_, err = api.CoreV1().Nodes().Patch(t.Context(), "n2", types.MergePatchType, patch, metav1.PatchOptions{})
	refused("another Node", "may not write node n2", "", err)
	te.say("credentials of node n1: its own chassis and Node only, nothing in the northbound database")
}

// encap is the UUID of a chassis' tunnel end.
func (t *test) encap(chassis string) string {
	t.Helper()
	out, err := t.cluster.SBCtl(t.Context(), "--bare", "--columns=_uuid", "find", "Encap", "chassis_name="+chassis)
	t.must(err, "find the tunnel end of %s", chassis)
	return strings.TrimSpace(out)
}
