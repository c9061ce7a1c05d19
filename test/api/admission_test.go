// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
)

// attempt is a write by a user, and what its error contains; nothing if it succeeds.
type attempt struct {
	name  string
	write func(context.Context) error
	wants string
}

func try(t *testing.T, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		switch err := a.write(t.Context()); {
		case a.wants == "" && err != nil:
			t.Errorf("%s: refused: %v", a.name, err)
		case a.wants != "" && (err == nil || !strings.Contains(err.Error(), a.wants)):
			t.Errorf("%s: got %v, want an error with %q", a.name, err, a.wants)
		}
	}
}

// annotate returns a write of annotations, pairs of key and value; the value "-" removes a key.
func annotate(c client.Client, o client.Object, pairs ...string) func(context.Context) error {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		value := strconv.Quote(pairs[i+1])
		if pairs[i+1] == "-" {
			value = "null"
		}
		parts = append(parts, strconv.Quote(pairs[i])+":"+value)
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%s}}}`, strings.Join(parts, ",")))
	return func(ctx context.Context) error {
		return c.Patch(ctx, o.DeepCopyObject().(client.Object), patch) //nolint:forcetypeassert // a copy
	}
}

func creation(c client.Client, o client.Object, pairs ...string) func(context.Context) error {
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	o.SetAnnotations(set)
	return func(ctx context.Context) error { return c.Create(ctx, o) }
}

// bind binds a ClusterRole to a user, in a namespace or in the cluster.
func (s *Server) bind(user, role, namespace string) {
	s.t.Helper()
	api, err := kubernetes.NewForConfig(s.Config(Admin))
	if err != nil {
		s.t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	if namespace == "" {
		_, err = api.RbacV1().ClusterRoleBindings().Create(s.t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = api.RbacV1().RoleBindings(namespace).Create(s.t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// admitted is an API server with the policies of config/admission, and a tenant with all rights in namespace red only.
type admitted struct {
	*Server
	admin, controller, tenant client.Client
}

func startAdmitted(t *testing.T) *admitted {
	t.Helper()
	s := Start(t)
	s.Install()
	s.Apply("config/rbac/cniserver.yaml")
	s.Apply("config/admission/*.yaml")
	a := &admitted{s, s.Client(Admin), s.Client(Controller), s.Client(Tenant)}
	if err := a.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "red"}}); err != nil {
		t.Fatal(err)
	}
	s.bind(Tenant, "cluster-admin", "red")
	s.bind("owner", "cluster-admin", "") // a user with all rights who is not in system:masters
	Eventually(t, "the policies are in force", startTime, func(ctx context.Context) error {
		err := creation(a.tenant, Pod("red", "probe", ""), annotations.Routed, "true")(ctx)
		if err == nil {
			_ = a.tenant.Delete(ctx, Pod("red", "probe", ""))
		}
		if err == nil || !strings.Contains(err.Error(), "only woven-controller writes") {
			return fmt.Errorf("a pod with annotation routed: %w", err)
		}
		return nil
	})
	return a
}

func TestAdmission(t *testing.T) {
	a := startAdmitted(t)
	t.Run("pods", a.testPods)
	t.Run("namespaces and services", a.testNamespacesAndServices)
	t.Run("nodes", a.testNodes)
}

// What the controller writes on pods is refused to tenants, requests are not.
func (a *admitted) testPods(t *testing.T) {
	const (
		refused = "only woven-controller writes "
		nic     = "net1.red.ovn.kubernetes.io/"
	)
	plain, allocated := Pod("red", "plain", ""), Pod("red", "allocated", "")
	try(t, []attempt{
		{"allocated", creation(a.tenant, Pod("red", "forged", ""), annotations.Allocated, "true", annotations.IPAddress, "10.16.0.1"), refused + annotations.Allocated},
		{"allocated of another NIC", creation(a.tenant, Pod("red", "forged", ""), nic+"allocated", "true"), refused + nic + "allocated"},
		{"allocated of another domain", creation(a.tenant, Pod("red", "forged", ""), "evil.kubernetes.io/routed", "true"), refused + "evil.kubernetes.io/routed"},
		{"requests", creation(a.tenant, plain, annotations.IPAddress, "10.16.0.9,fd00:10:16::9", annotations.MACAddress, "0a:00:00:00:00:09", annotations.LogicalSwitch, "blue"), ""},
		{"a pool, as in a template", creation(a.tenant, allocated, annotations.IPPool, "10.16.0.10..10.16.0.20", nic+"ip_address", "10.17.0.9"), ""},
		{"another request", annotate(a.tenant, plain, annotations.IPAddress, "10.16.0.8"), ""},
		{"routed later", annotate(a.tenant, plain, annotations.Routed, "true"), refused + annotations.Routed},
		{"answer of the controller", annotate(a.controller, allocated, annotations.Allocated, "true", annotations.Routed, "true", annotations.IPAddress, "10.16.0.10",
			annotations.CIDR, "10.16.0.0/16", annotations.MACAddress, "0a:00:00:00:00:0a", annotations.LogicalSwitch, "ovn-default"), ""},
		{"another address", annotate(a.tenant, allocated, annotations.IPAddress, "10.16.0.1"), refused + annotations.IPAddress},
		{"another MAC address", annotate(a.tenant, allocated, annotations.MACAddress, "0a:00:00:00:00:01"), refused + annotations.MACAddress},
		{"another Subnet", annotate(a.tenant, allocated, annotations.LogicalSwitch, "join"), refused + annotations.LogicalSwitch},
		{"no allocated", annotate(a.tenant, allocated, annotations.Allocated, "-"), refused + annotations.Allocated},
		{"a gateway that was not there", annotate(a.tenant, allocated, annotations.Gateway, "10.16.0.10"), refused + annotations.Gateway},
		{"request of a NIC that is not allocated", annotate(a.tenant, allocated, nic+"ip_address", "10.17.0.10"), ""},
		{"another annotation and a label", annotate(a.tenant, allocated, "example.com/x", "y"), ""},
		{"repair by an administrator", annotate(a.admin, allocated, annotations.Routed, "-"), ""},
	})
}

func (a *admitted) testNamespacesAndServices(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "red"}}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "red", Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	owner := a.Client("owner")
	try(t, []attempt{
		{"request of a namespace", annotate(owner, namespace, annotations.LogicalSwitch, "blue", annotations.CIDR, "10.44.0.0/24"), ""},
		{"bound", annotate(owner, namespace, annotations.BoundSwitch, "join"), "only woven-controller writes " + annotations.BoundSwitch},
		{"bound by the controller", annotate(a.controller, namespace, annotations.BoundSwitch, "blue"), ""},
		{"restored Service", creation(a.tenant, service, annotations.Vpc, "ovn-cluster"), ""},
		{"another Vpc", annotate(a.tenant, service, annotations.Vpc, "other"), "only woven-controller writes " + annotations.Vpc},
		{"request of a Service", annotate(a.tenant, service, annotations.LogicalRouter, "other"), ""},
	})
}

// A cniserver writes its own Node and Lease, and of the Node nothing else than its annotation and condition.
func (a *admitted) testNodes(t *testing.T) {
	a.AddNode("n1", "172.18.0.1")
	a.AddNode("n2", "172.18.0.2")
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	cniserver, kubelet := a.Client(CNIServer), a.Client("owner")
	raw := func(c client.Client, name, patch string) func(context.Context) error {
		return func(ctx context.Context) error {
			return c.Patch(ctx, node(name), client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
		}
	}
	status := func(name, patch string) func(context.Context) error {
		return func(ctx context.Context) error {
			return cniserver.Status().Patch(ctx, node(name), client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
		}
	}
	leases, err := gatewayprobe.NewLeases(a.Config(CNIServer), model.HeartbeatNamespace)
	if err != nil {
		t.Fatal(err)
	}
	lease := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			return err
		}
	}
	const condition = `{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False","reason":"Ready","message":""}]}}`
	try(t, []attempt{
		{"own annotation", annotate(cniserver, node("n1"), annotations.Chassis, "n1"), ""},
		{"own condition", status("n1", condition), ""},
		{"own heartbeat", lease(model.HeartbeatLease("n1")), ""},
		{"another node's annotation", annotate(cniserver, node("n2"), annotations.Chassis, "n1"), "may not write node n2"},
		{"another node's condition", status("n2", condition), "may not write node n2"},
		{"another node's heartbeat", lease(model.HeartbeatLease("n2")), "may not write Lease " + model.HeartbeatLease("n2")},
		{"own label", raw(cniserver, "n1", `{"metadata":{"labels":{"gateway":"true"}}}`), "conditions only"},
		{"own taints", raw(cniserver, "n1", `{"spec":{"unschedulable":true}}`), "conditions only"},
		{"own addresses", status("n1", `{"status":{"addresses":[{"type":"InternalIP","address":"172.18.0.2"}]}}`), "conditions only"},
		{"the controller's annotation", annotate(cniserver, node("n1"), annotations.IPAddress, "100.64.0.1"), "denied request"}, // by two policies
		{"address by a kubelet", annotate(kubelet, node("n1"), annotations.IPAddress, "100.64.0.1"), "only woven-controller writes " + annotations.IPAddress},
		{"chassis by a kubelet", annotate(kubelet, node("n2"), annotations.Chassis, "n1"), "only woven-controller writes " + annotations.Chassis},
		{"label by a kubelet", raw(kubelet, "n1", `{"metadata":{"labels":{"a":"b"}}}`), ""},
		{"address by the controller", annotate(a.controller, node("n1"), annotations.IPAddress, "100.64.0.2"), ""},
	})
}

// Metrics and profiles on an address that others reach need TLS, a token, and the right to read the path.
func TestMetricsNeedAuthentication(t *testing.T) {
	h := newHarness(t)
	h.server.Install()
	h.server.Apply("config/rbac/metrics.yaml")
	h.server.bind(Tenant, "woven-metrics-reader", "")
	port, health := strconv.Itoa(freePort(t)), strconv.Itoa(freePort(t))
	h.start(t, "--bind-address=0.0.0.0", "--pprof-port="+port, "--health-probe-bind-address=127.0.0.1:"+health)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // signed by itself
	get := func(url, user string) func(context.Context) error {
		return func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			if user != "" {
				request.Header.Set("Authorization", "Bearer "+user+"-token")
			}
			response, err := web.Do(request)
			if err != nil {
				return err
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err == nil && response.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s %s", response.Status, body)
			}
			return err
		}
	}
	base := "https://127.0.0.1:" + port
	Eventually(t, "the kubelet's probe", startTime, get("http://127.0.0.1:"+health+"/readyz", ""))
	Eventually(t, "metrics", startTime, get(base+"/metrics", Tenant))
	try(t, []attempt{
		{"without a token", get(base+"/metrics", ""), "401"},
		{"without TLS", get("http://127.0.0.1:"+port+"/metrics", Tenant), "HTTP"},
		{"unknown token", get(base+"/metrics", "nobody"), "Authentication failed"},
		{"without the right", get(base+"/metrics", CNIServer), "403"},
		{"metrics", get(base+"/metrics", Tenant), ""},
		{"profiles with the right for metrics", get(base+"/debug/pprof/", Tenant), "403"},
		{"objects with the right for metrics", get(base+"/debug/woven/owners", Tenant), "403"},
		{"profiles on the address for probes", get("http://127.0.0.1:"+health+"/debug/pprof/", ""), "404"},
		{"metrics on the address for probes", get("http://127.0.0.1:"+health+"/metrics", ""), "404"},
	})
}
