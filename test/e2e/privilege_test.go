// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// Ports of metrics and profiles, and those of health checks.
const (
	controllerPort, controllerHealthPort = 10660, 10662
	cniServerPort, cniServerHealthPort   = 10665, 10666
)

// podPolicy is the ValidatingAdmissionPolicy that reserves annotations of pods, and its binding.
const podPolicy = "woven-pods"

// withoutPolicy removes the binding of the policy for annotations of pods until the test ends, as in a cluster without
// it.
func (n *tenant) withoutPolicy() {
	n.Helper()
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	n.must(n.api.Get(n.Context(), client.ObjectKey{Name: podPolicy}, binding), "read the binding of policy %s", podPolicy)
	n.must(n.api.Delete(n.Context(), binding.DeepCopy()), "delete the binding of policy %s", podPolicy)
	n.after(func() {
		binding.ObjectMeta = metav1.ObjectMeta{Name: binding.Name}
		if err := n.api.Create(context.Background(), binding); err != nil {
			n.Errorf("restore the binding of policy %s: %v", podPolicy, err)
		}
	})
	probe := n.newPod(n.namespace, "probe", "", map[string]string{annotations.Allocated: "true"})
	n.wait(20*time.Second, "policy "+podPolicy+" is off", func(ctx context.Context) string {
		if err := n.as.Create(ctx, probe.DeepCopy(), client.DryRunAll); err != nil {
			return err.Error()
		}
		return ""
	})
}

// reservedKeys checks that the policies of config/admission refuse what only the controller writes, and that requests
// are admitted.
func (n *tenant) reservedKeys(victim *corev1.Pod, forged map[string]map[string]string) {
	n.Helper()
	for name, set := range forged {
		n.refused("a tenant creates pod "+name, n.as.Create(n.Context(), n.newPod(n.namespace, name, "n2", set)))
	}
	pod := n.runs("asks", "n2", map[string]string{annotations.IPAddress: "10.16.0.123,fd00:10:16::123", annotations.MACAddress: "02:00:00:00:01:23"})
	if pod.Status.PodIP != "10.16.0.123" || mac(pod) != "02:00:00:00:01:23" {
		n.Errorf("pod asks, which may request an address, has %s %s", pod.Status.PodIP, mac(pod))
	}
	for key, value := range map[string]string{
		annotations.IPAddress: victim.Annotations[annotations.IPAddress], annotations.MACAddress: mac(victim), annotations.LogicalSwitch: "join",
		annotations.Allocated: "false", annotations.Gateway: "", "evil" + annotations.ProviderDomain + "/" + annotations.SuffixAllocated: "true",
	} {
		n.refused(fmt.Sprintf("a tenant sets %s=%q on a running pod", key, value), annotateAs(n.Context(), n.as, pod.DeepCopy(), key, value))
	}
	n.must(annotateAs(n.Context(), n.as, pod.DeepCopy(), "example.com/"+annotations.SuffixIPAddress, "1"), "annotate a pod with a key of somebody else")
	n.refused("a tenant sets what the controller records on a namespace", annotateAs(n.Context(), n.as, namespaceObject(n.namespace), annotations.BoundSwitch, "x"))
}

// as is the user of a kubeconfig of the sandbox.
func (t *test) as(file string) client.Client {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", t.cluster.Plan().Paths.PKI(file))
	t.must(err, "read %s", file)
	config.Dial = t.cluster.DialControl
	scheme, err := check.Scheme()
	t.must(err, "scheme")
	api, err := client.New(config, client.Options{Scheme: scheme})
	t.must(err, "connect with %s", file)
	return api
}

// nodeCredentials uses what node n1 has, its certificates for the API server and for OVN's databases, to change what
// belongs to others.
func (t *test) nodeCredentials() {
	t.cniServerOfNode()
	t.certificateOfNode()
	t.nodesReady(1, 2)
	t.consistent(10 * time.Second)
}

func (t *test) cniServerOfNode() {
	t.Helper()
	ctx := t.Context()
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	cniserver, kubelet := t.as("woven-cniserver-n1.conf"), t.as("n1.conf")
	t.must(annotateAs(ctx, cniserver, node("n1"), annotations.Chassis, "n1"), "annotate the own Node")
	t.refused("a cniserver sets the chassis of another Node", annotateAs(ctx, cniserver, node("n2"), annotations.Chassis, "n1"))
	t.refused("a cniserver sets an address of its own Node", annotateAs(ctx, cniserver, node("n1"), annotations.IPAddress, "100.64.0.99"))
	t.refused("a cniserver labels its own Node", cniserver.Patch(ctx, node("n1"), patchOf([]byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`))))
	t.refused("a cniserver cordons its own Node", cniserver.Patch(ctx, node("n1"), patchOf([]byte(`{"spec":{"unschedulable":true}}`))))
	condition := patchOf([]byte(`{"status":{"conditions":[{"type":"NetworkUnavailable","status":"True"}]}}`))
	t.refused("a cniserver sets a condition of another Node", cniserver.Status().Patch(ctx, node("n2"), condition))
	t.refused("a cniserver sets addresses of its own Node", cniserver.Status().Patch(ctx, node("n1"), patchOf([]byte(`{"status":{"addresses":[{"type":"InternalIP","address":"192.168.77.1"}]}}`))))
	t.refused("a cniserver deletes a Node", cniserver.Delete(ctx, node("n2")))
	t.refused("a cniserver takes the heartbeat of another gateway", cniserver.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "woven-gateways", Name: "woven-gateway-n2-forged"}}))
	t.refused("a cniserver writes an IP object", cniserver.Create(ctx, &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "forged"}}))
	t.refused("a cniserver changes a Subnet", annotateAs(ctx, cniserver, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: defaultSubnet}}, annotations.PortSecurity, "false"))
	t.refused("a cniserver reads Secrets", cniserver.List(ctx, &corev1.SecretList{}))
	for _, key := range []string{annotations.IPAddress, annotations.MACAddress, annotations.Chassis} {
		t.refused("a kubelet sets "+key+" on its own Node", annotateAs(ctx, kubelet, node("n1"), key, "100.64.0.99"))
	}
}

// certificateOfNode connects to OVN's databases with the certificate of n1's ovn-controller.
func (t *test) certificateOfNode() {
	t.Helper()
	control := sandbox.ControlAddr().String()
	run := func(tool, port string, args ...string) error {
		connection := []string{tool, "--private-key=/etc/ovn/node-key.pem", "--certificate=/etc/ovn/node-cert.pem", "--ca-cert=none", "--timeout=5", "--db=ssl:" + control + ":" + port}
		_, err := t.cluster.NodeExec(t.Context(), 1, append(connection, args...)...)
		return err
	}
	southbound := func(args ...string) error { return run("ovn-sbctl", sandbox.SBPort, args...) }
	fails := func(what string, err error, texts ...string) {
		t.Helper()
		if err == nil || !containsAll(err.Error(), texts) {
			t.Errorf("%s: error %v, want one with %q", what, err, texts)
			return
		}
		t.say("%s: %s", what, tail(err.Error(), 1))
	}
	const permission = "permission"
	tunnel, port := t.southboundID("Encap", "chassis_name=n2"), t.southboundID("Port_Binding", "logical_port=node-n2")
	fails("n1 reads the northbound database", run("ovn-nbctl", sandbox.NBPort, "show"), "connection failed")
	fails("n1 writes the northbound database", run("ovn-nbctl", sandbox.NBPort, "ls-add", "forged"), "connection failed")
	t.must(southbound("set", "Chassis", "n1", "external_ids:attack=own"), "n1 writes its own Chassis")
	t.must(southbound("remove", "Chassis", "n1", "external_ids", "attack"), "n1 writes its own Chassis")
	for what, args := range map[string][]string{
		"the Chassis of n2":           {"set", "Chassis", "n2", "external_ids:attack=other"},
		"the end of n2":               {"chassis-del", "n2"},
		"a Chassis without a node":    {"chassis-add", "n9", "geneve", "192.0.2.1"},
		"the private Chassis of n2":   {"set", "Chassis_Private", "n2", "external_ids:attack=other"},
		"the tunnel of n2":            {"set", "Encap", tunnel, "ip=192.0.2.1"},
		"logical flows":               {"--all", "destroy", "Logical_Flow"},
		"datapaths":                   {"--all", "destroy", "Datapath_Binding"},
		"ports":                       {"--all", "destroy", "Port_Binding"},
		"the addresses of a port":     {"set", "Port_Binding", port, `mac="02:00:00:00:00:01"`},
		"the numbers of the database": {"set", "SB_Global", ".", "nb_cfg=1000000"},
		"who may connect":             {"set-connection", "ptcp:6650"},
		"what nodes may":              {"--all", "destroy", "RBAC_Role"},
		"backends of Services":        {"--all", "destroy", "Load_Balancer"},
		"address sets":                {"--all", "destroy", "Address_Set"},
	} {
		fails("n1 writes "+what, southbound(args...), permission)
	}
}

// southboundID is the UUID of a row.
func (t *test) southboundID(table, condition string) string {
	t.Helper()
	out, err := t.cluster.SBCtl(t.Context(), "--bare", "--columns=_uuid", "find", table, condition)
	t.must(err, "find %s in %s", condition, table)
	return strings.TrimSpace(out)
}

// observed tries to read metrics and profiles from a pod of a tenant, at every address of nodes and control plane.
func (t *test) observed() {
	red := t.tenant("curious")
	pod := red.runs("reader", "n1", nil)
	addresses := []string{"100.64.0.2", "100.64.0.3", "fd00:100:64::2", "fd00:100:64::3", sandbox.ControlAddr().String(), "fd00:77::1"}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		for _, v6 := range both {
			addresses = append(addresses, sandbox.NodeAddr(n, v6).String())
		}
	}
	var closed []wire.Target
	for _, a := range addresses {
		for _, port := range []int{controllerPort, cniServerPort} {
			closed = append(closed, wire.Target{How: wire.Connect, Address: hostPort(a, port), Refused: true})
		}
	}
	answers, err := t.ask(t.Context(), pod, closed)
	t.must(err, "connect from a pod")
	for _, a := range answers {
		if a.Error != "" {
			t.Errorf("a pod connects to %s: %s", a.Address, a.Error)
		}
	}
	read := func(address string) string {
		out, _ := t.inPod(t.Context(), pod, "wget", "-q", "-T", "3", "-O", "-", "http://"+address) // an error for status 404
		return out
	}
	for _, health := range []string{hostPort(sandbox.ControlAddr().String(), controllerHealthPort), hostPort(sandbox.NodeAddr(2, true).String(), cniServerHealthPort)} {
		if out := read(health + "/healthz"); !strings.Contains(out, "ok") {
			t.Errorf("%s/healthz, which everybody may read: %q", health, out)
		}
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/woven/"} {
			if out := read(health + path); out != "" {
				t.Errorf("a pod reads %s%s: %q", health, path, tail(out, 5))
			}
		}
	}
	local, err := t.cluster.NodeExec(t.Context(), 1, "curl", "-s", fmt.Sprintf("http://127.0.0.1:%d/metrics", cniServerPort))
	if err != nil || !strings.Contains(local, "woven_") {
		t.Errorf("the node itself reads no metrics: %v", err)
	}
	t.say("metrics and profiles of controller and cniservers are closed to pods, at %d addresses", len(addresses))
}

// refused fails the test unless an error says that the user may not do that.
func (t *test) refused(what string, err error) {
	t.Helper()
	if byPolicy := apierrors.IsInvalid(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy"); !byPolicy && !apierrors.IsForbidden(err) {
		t.Errorf("%s: error %v, want it forbidden", what, err)
		return
	}
	t.say("%s: %v", what, err)
}
