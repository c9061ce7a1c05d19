// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// hooked is a cluster whose API server calls the controller's webhook.
type hooked struct {
	*harness
	*heard
	controller *ControllerProcess
	address    string // of the webhook
}

// heard collects the API server's warnings.
type heard struct {
	client.Client
	mu       sync.Mutex
	warnings []string
}

// HandleWarningHeaderWithContext stores a warning.
func (h *heard) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, text)
}

// taken returns the warnings since the last call.
func (h *heard) taken() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := strings.Join(h.warnings, "\n")
	h.warnings = nil
	return text
}

// startHooked applies config/webhook with a loopback address instead of the Service, and waits until invalid objects
// are refused.
func startHooked(t *testing.T) *hooked {
	t.Helper()
	h := &hooked{harness: newHarness(t), heard: &heard{}}
	h.server.Install()
	h.server.AddNode("n1", "172.18.0.1")
	config := h.server.Config(Admin)
	config.WarningHandlerWithContext = h.heard
	var err error
	if h.Client, err = client.New(config, client.Options{Scheme: h.client.Scheme()}); err != nil {
		t.Fatal(err)
	}
	h.address = "127.0.0.1:" + strconv.Itoa(freePort(t))
	h.installWebhook(t, "https://"+h.address+"/validate")
	h.controller = h.start(t, "--webhook-bind-address="+h.address, "--webhook-self-signed", "--webhook-host-names=127.0.0.1,woven-webhook.kube-system.svc")
	ready(t, h.client)
	Eventually(t, "the webhook refuses invalid objects", startTime, func(ctx context.Context) error { return h.refusesOverlap(ctx, t) })
	h.taken()
	return h
}

func (h *hooked) installWebhook(t *testing.T, url string) {
	t.Helper()
	h.server.Apply("config/webhook/rbac.yaml")
	h.server.Apply("config/webhook/secret.yaml")
	h.server.Apply("config/webhook/service.yaml")
	root, err := sandbox.FindSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range decode(t, filepath.Join(root, "config/webhook/configuration.yaml")) {
		hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, hook := range hooks {
			if m, ok := hook.(map[string]any); ok {
				m["clientConfig"] = map[string]any{"url": url}
			}
		}
		if err := unstructured.SetNestedSlice(o.Object, hooks, "webhooks"); err != nil {
			t.Fatal(err)
		}
		if err := h.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

const containers = `containers: [{name: c, image: none}]`

func podText(name, annotations string) string {
	return `{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: ` + name + `, annotations: {` + annotations + `}}, spec: {nodeName: n1, automountServiceAccountToken: false, ` + containers + `}}`
}

func workload(apiVersion, kind, name, annotations string) string {
	template := `template: {metadata: {labels: {a: b}, annotations: {` + annotations + `}}, spec: {restartPolicy: Always, ` + containers + `}}`
	spec := `selector: {matchLabels: {a: b}}, ` + template
	switch kind {
	case "Job":
		spec = strings.Replace(template, "Always", "Never", 1)
	case "CronJob":
		spec = `schedule: "* * * * *", jobTemplate: {spec: {` + strings.Replace(template, "Always", "Never", 1) + `}}`
	}
	return `{apiVersion: ` + apiVersion + `, kind: ` + kind + `, metadata: {namespace: default, name: ` + name + `}, spec: {` + spec + `}}`
}

func networkText(kind, name, spec string) string {
	return `{apiVersion: kubeovn.io/v1, kind: ` + kind + `, metadata: {name: ` + name + `}, spec: {` + spec + `}}`
}

// The webhook on a real API server, with the manifests and RBAC rules of config.
func TestWebhook(t *testing.T) {
	h := startHooked(t)
	h.create(t, object(t, podText("holder", `ovn.kubernetes.io/ip_address: 10.16.5.5, ovn.kubernetes.io/mac_address: "02:00:00:00:05:05"`)))
	h.create(t, object(t, networkText("Subnet", "red", `cidrBlock: 10.20.0.0/24, namespaces: [red]`)))
	h.create(t, object(t, networkText("IPPool", "front", `subnet: red, ips: [10.20.0.16..10.20.0.31]`)))
	h.awaitAddresses(t)
	t.Run("refused", h.refused)
	t.Run("accepted", h.accepted)
	t.Run("changes", h.changes)
	t.Run("deletion of a subnet", h.deletion)
	t.Run("certificate", h.certificate)
	t.Run("away", h.away)
}

func (h *hooked) refused(t *testing.T) {
	const ip, pool, mac = "ovn.kubernetes.io/ip_address: ", "ovn.kubernetes.io/ip_pool: ", "ovn.kubernetes.io/mac_address: "
	const holder = "10.16.5.5 of Subnet ovn-default belongs to pod default/holder, IP holder.default"
	const field = "metadata.annotations[ovn.kubernetes.io/ip_address]: "
	for _, c := range []struct{ text, want string }{
		{podText("a", ip+"10.16.5.300"), field + `"10.16.5.300": "10.16.5.300" is not an address`},
		{podText("a", ip+"10.17.0.5"), field + "10.17.0.5 is not a host address of Subnet ovn-default (10.16.0.0/16)"},
		{podText("a", ip+"10.16.0.1"), field + "10.16.0.1 is the gateway of Subnet ovn-default"},
		{podText("a", ip+"10.16.5.5"), "Pod default/a: " + field + holder},
		{podText("a", mac+`"01:00:00:00:00:01"`), "metadata.annotations[ovn.kubernetes.io/mac_address]: "},
		{podText("a", mac+`"02:00:00:00:05:05"`), "02:00:00:00:05:05 is the MAC of pod default/holder in Subnet ovn-default, IP holder.default"},
		{podText("a", pool+`"10.16.0.9,10.16.0.300"`), "metadata.annotations[ovn.kubernetes.io/ip_pool]: "},
		{podText("a", pool+`"10.17.0.9,10.17.0.10"`), "10.17.0.9 is not a host address of Subnet ovn-default"},
		{podText("a", pool+`front, ovn.kubernetes.io/logical_switch: ovn-default`), "IPPool front is of Subnet red, but the annotation logical_switch names ovn-default"},
		{podText("a", `ovn.kubernetes.io/ip_family: ipv5`), "metadata.annotations[ovn.kubernetes.io/ip_family]: "},
		{podText("a", `ovn.kubernetes.io/routes: "{}"`), `Pod default/a: metadata.annotations[ovn.kubernetes.io/routes]: is not a JSON list of {"dst","gw"}`},
		{podText("a", `ovn.kubernetes.io/routes: '[{"dst":"10.0.0.0","gw":"10.16.0.1"}]'`), `[0]: dst: "10.0.0.0" is not a CIDR`},

		{workload("apps/v1", "Deployment", "a", ip+"10.16.5.300"), "Deployment default/a: spec.template." + field},
		{workload("apps/v1", "Deployment", "a", ip+"10.16.5.5"), "spec.template." + field + holder},
		{workload("apps/v1", "StatefulSet", "a", pool+`"10.17.0.9;10.17.0.10"`), "spec.template.metadata.annotations[ovn.kubernetes.io/ip_pool]: 10.17.0.9 is not a host address"},
		{workload("apps/v1", "DaemonSet", "a", ip+"10.17.0.5"), "10.17.0.5 is not a host address of Subnet ovn-default"},
		{workload("batch/v1", "Job", "a", `ovn.kubernetes.io/ip_family: six`), "spec.template.metadata.annotations[ovn.kubernetes.io/ip_family]: "},
		{workload("batch/v1", "CronJob", "a", ip+"10.16.5"), "spec.jobTemplate.spec.template." + field},

		{networkText("Subnet", "blue", `cidrBlock: 10.20.0.128/25`), "Subnet blue: spec.cidrBlock: 10.20.0.128/25 overlaps 10.20.0.0/24 of Subnet red in Vpc ovn-cluster"},
		{networkText("Subnet", "blue", `cidrBlock: 172.18.0.0/24`), "spec.cidrBlock: 172.18.0.0/24 of Subnet blue contains InternalIP 172.18.0.1 of Node n1"},
		{networkText("Subnet", "blue", `cidrBlock: 10.21.0.0/24, gateway: 10.21.0.255`), "spec.gateway: 10.21.0.255 is the network or broadcast address"},
		{networkText("Subnet", "blue", `cidrBlock: 10.21.0.0/24, excludeIps: [10.22.0.1]`), "spec.excludeIps: 10.22.0.1 is not in the CIDR 10.21.0.0/24"},

		{networkText("IPPool", "p", `subnet: red, ips: [10.21.0.0/28]`), "spec.ips: 10.21.0.0..10.21.0.15 is not inside 10.20.0.0/24, the CIDR of Subnet red"},
		{networkText("IPPool", "p", `subnet: red, ips: [10.20.0.30..10.20.0.40]`), "IPPool p: spec.ips: 10.20.0.30..10.20.0.40 overlaps 10.20.0.16..10.20.0.31 of IPPool front"},
		{networkText("IPPool", "p", `subnet: red, ips: [10.20.0.40..10.20.0.30]`), "spec.ips[0]: "},

		{networkText("IP", "later.default", `subnet: ovn-default, namespace: default, podName: later, v4IpAddress: 10.16.5.5`), "IP later.default: spec.v4IpAddress: " + holder},
		{networkText("IP", "later.default", `subnet: ovn-default, v4IpAddress: 10.20.0.5`), "spec.v4IpAddress: 10.20.0.5 is not a host address of Subnet ovn-default"},
		{networkText("IP", "later.default", `subnet: ovn-default`), "spec.ipAddress: it is empty"},
	} {
		o := object(t, c.text)
		err := h.Create(t.Context(), o)
		switch {
		case err == nil:
			t.Errorf("%s\n\tis accepted, want: %s", c.text, c.want)
			_ = h.Delete(t.Context(), o)
		case !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "admission webhook"):
			t.Errorf("%s\n\tgot  %v\n\twant %s", c.text, err, c.want)
		default:
			t.Log(err)
		}
	}
	h.taken()
}

// accepted checks accepted objects, which may have a warning.
func (h *hooked) accepted(t *testing.T) {
	for _, c := range []struct{ text, warning string }{
		{podText("plain", ""), ""},
		{podText("fixed", "ovn.kubernetes.io/ip_address: 10.16.5.6"), ""},
		{podText("waits", "ovn.kubernetes.io/ip_pool: later"), "there is no IPPool later yet; the pod waits for it"},
		{podText("unbound", "ovn.kubernetes.io/logical_switch: later"), "there is no Subnet later yet; the pod waits for it"},
		{strings.Replace(podText("spared", "ovn.kubernetes.io/ip_address: nonsense"), "default", "kube-system", 1), ""},
		{strings.Replace(workload("apps/v1", "DaemonSet", "spared", "ovn.kubernetes.io/ip_address: nonsense"), "default", "kube-system", 1), ""},
		{strings.Replace(podText("replica", "ovn.kubernetes.io/ip_address: 10.16.5.5"), "annotations:", `ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u, controller: true}], annotations:`, 1), "belongs to pod default/holder"},
		{workload("apps/v1", "Deployment", "web", "ovn.kubernetes.io/ip_address: 10.16.5.7"), ""},
		{workload("apps/v1", "Deployment", "holder", ""), ""},
		{networkText("Subnet", "elsewhere", `cidrBlock: 10.20.0.0/24, vpc: other`), "spec.vpc: there is no Vpc other yet"},
		{networkText("Subnet", "warned", `cidrBlock: 10.23.0.0/24, vips: [10.24.0.1]`), "spec.vips: 10.24.0.1 is not a host address of the CIDR"},
		{networkText("IPPool", "early", `subnet: later, ips: [10.21.0.0/28]`), "there is no Subnet later yet; the pool waits for it"},
		{networkText("IP", "reserved.default", `subnet: ovn-default, namespace: default, podName: reserved, v4IpAddress: 10.16.5.9`), ""},
		{networkText("Vpc", "red", ``), "there is a Subnet of this name, too"},
		{networkText("Vpc", "routed", `staticRoutes: [{cidr: 0.0.0.0/0, nextHopIP: 10.25.0.1}]`), "spec.staticRoutes: it is not supported yet"},
		{networkText("Vlan", "v1", `provider: physical`), "objects of kind Vlan are not supported yet"},
		{podText("limited", `ovn.kubernetes.io/ingress_rate: "3"`), "metadata.annotations[ovn.kubernetes.io/ingress_rate]: it is not supported yet"},
		{podText("multihomed", `net1.default.ovn.kubernetes.io/ip_address: 10.26.0.1`), "metadata.annotations[net1.default.ovn.kubernetes.io/ip_address]: it is not supported yet"},
		{`{apiVersion: v1, kind: Service, metadata: {name: announced, namespace: default, annotations: {ovn.kubernetes.io/bgp: "true"}}, spec: {ports: [{port: 80}]}}`, "metadata.annotations[ovn.kubernetes.io/bgp]: it is not supported yet"},
		{`{apiVersion: v1, kind: Node, metadata: {name: other, labels: {ovn.kubernetes.io/ic-gw: "true"}}}`, "metadata.labels[ovn.kubernetes.io/ic-gw]: it is not supported yet"},
		{`{apiVersion: v1, kind: Namespace, metadata: {name: odd, annotations: {ovn.kubernetes.io/logical_switch: "a b"}}}`, `"a b" is not the name of a Subnet`},
		{`{apiVersion: v1, kind: Namespace, metadata: {name: green, annotations: {ovn.kubernetes.io/logical_switch: later}}}`, "there is no Subnet later yet; pods wait for it"},
	} {
		o := object(t, c.text)
		err := h.Create(t.Context(), o)
		warning := h.taken()
		if err != nil || (warning == "") != (c.warning == "") || !strings.Contains(warning, c.warning) {
			t.Errorf("%s\n\terror %v\n\twarning %q, want %q", c.text, err, warning, c.warning)
		}
	}
}

// changes checks that an update is refused only for what it adds.
func (h *hooked) changes(t *testing.T) {
	patch := func(o client.Object, name, spec string) error {
		o.SetName(name)
		return h.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`)))
	}
	for _, c := range []struct {
		o                client.Object
		name, spec, want string
	}{
		{&v1.Subnet{}, "red", `{"cidrBlock":"10.16.0.0/20","gateway":"","excludeIps":[]}`, "10.16.0.0/20 overlaps 10.16.0.0/16 of Subnet ovn-default"},
		{&v1.Subnet{}, "ovn-default", `{"gateway":"10.16.5.5"}`, "spec.gateway: 10.16.5.5 is the address of pod default/holder, IP holder.default"},
		{&v1.Subnet{}, "ovn-default", `{"cidrBlock":"10.30.0.0/24","gateway":"","excludeIps":[]}`, `spec.cidrBlock: "10.30.0.0/24" does not contain 10.16.5.`},
		{&v1.Subnet{}, "red", `{"vpc":"other"}`, "spec.vpc cannot be changed"},
		{&v1.IP{}, "holder.default", `{"ipAddress":"10.16.5.8","v4IpAddress":"10.16.5.8"}`, "spec.v4IpAddress: it cannot be changed from 10.16.5.5 to \"10.16.5.8\" while pod default/holder has the address"},
		{&v1.IPPool{}, "front", `{"ips":["10.20.1.1"]}`, "10.20.1.1 is not inside 10.20.0.0/24"},
	} {
		if err := patch(c.o, c.name, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s\n\tgot  %v\n\twant %s", c.name, c.spec, err, c.want)
		}
	}
	for _, c := range []struct {
		o          client.Object
		name, spec string
	}{
		{&v1.Subnet{}, "ovn-default", `{"gateway":"10.16.200.1"}`}, // live, with addresses in use
		{&v1.Subnet{}, "red", `{"private":true}`},
		{&v1.IPPool{}, "front", `{"ips":["10.20.0.16..10.20.0.40"]}`},
	} {
		if err := patch(c.o, c.name, c.spec); err != nil {
			t.Errorf("%s %s: %v", c.name, c.spec, err)
		}
	}
}

func (h *hooked) deletion(t *testing.T) {
	subnet := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "ovn-default"}}
	err := h.Delete(t.Context(), subnet)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "Subnet ovn-default: its addresses are in use: 10.16.") {
		t.Errorf("deletion of a subnet in use: %v", err)
	}
	t.Log(err)
	subnet.Name = "elsewhere"
	if err := h.Delete(t.Context(), subnet); err != nil {
		t.Errorf("deletion of an unused subnet: %v", err)
	}
}

// certificate checks that a destroyed certificate is issued again, once for any number of controllers. All of them
// serve it, and the replaced one is still trusted.
func (h *hooked) certificate(t *testing.T) {
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	standby := h.start(t, "--leader-elect-identity=standby", "--webhook-bind-address="+address, "--webhook-self-signed",
		"--webhook-host-names=127.0.0.1,woven-webhook.kube-system.svc")
	defer standby.Terminate()
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: "kube-system", Name: "woven-webhook"}
	h.awaitServed(t, key, h.address, address)
	if err := h.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	before := string(secret.Data["ca.crt"])
	delete(secret.Data, "tls.key")
	if err := h.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.awaitServed(t, key, h.address, address)
	if err := h.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	if ca := string(secret.Data["ca.crt"]); !strings.HasSuffix(ca, before) || strings.Count(ca, "BEGIN") != 2 {
		t.Errorf("after one renewal, trusted are %s", ca)
	}
	Eventually(t, "the API server trusts the new certificate", startTime, func(ctx context.Context) error {
		return h.refusesOverlap(ctx, t)
	})
}

// awaitServed waits until all these addresses serve the certificate of the Secret.
func (h *hooked) awaitServed(t *testing.T, key client.ObjectKey, addresses ...string) {
	t.Helper()
	Eventually(t, "every controller serves the certificate of the Secret", startTime, func(ctx context.Context) error {
		secret := &corev1.Secret{}
		if err := h.Get(ctx, key, secret); err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(secret.Data["ca.crt"])
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		for _, address := range addresses {
			connection, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			secured, ok := connection.(*tls.Conn)
			if !ok || !secured.ConnectionState().PeerCertificates[0].Equal(pair.Leaf) {
				err = fmt.Errorf("%s serves another one", address)
			}
			if err = errors.Join(err, connection.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

// refusesOverlap returns nil once the webhook refuses an invalid object.
func (h *hooked) refusesOverlap(ctx context.Context, t *testing.T) error {
	err := h.Create(ctx, object(t, networkText("Subnet", "probe", "cidrBlock: 10.16.0.0/24")), client.DryRunAll)
	if err == nil {
		return errors.New("a bad subnet is accepted")
	}
	if !strings.Contains(err.Error(), "admission webhook") {
		return err
	}
	return nil
}

// away checks that without the webhook the same objects are accepted, and report the problem themselves.
func (h *hooked) away(t *testing.T) {
	pod := object(t, podText("late", "ovn.kubernetes.io/ip_address: 10.17.0.5"))
	if err := h.Create(t.Context(), pod.DeepCopy()); err == nil {
		t.Fatal("accepted while the webhook is there")
	}
	h.controller.Terminate()
	h.create(t, pod)
	h.create(t, object(t, networkText("Subnet", "blue", `cidrBlock: 10.20.0.128/25`)))
	h.start(t)
	Eventually(t, "the condition of the subnet says what is wrong", startTime, func(ctx context.Context) error {
		subnet := &v1.Subnet{}
		if err := h.Get(ctx, client.ObjectKey{Name: "blue"}, subnet); err != nil {
			return err
		}
		c := v1.FindCondition(subnet.Status.Conditions, v1.ConditionValidated)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "overlaps 10.20.0.0/24 of Subnet red") {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	Eventually(t, "an event of the pod says what is wrong", startTime, func(ctx context.Context) error {
		events := &corev1.EventList{}
		if err := h.List(ctx, events, client.InNamespace("default")); err != nil {
			return err
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.InvolvedObject.Name == "late" && strings.Contains(e.Message, "10.17.0.5 is not a host address of subnet ovn-default") {
				return nil
			}
		}
		return fmt.Errorf("none of %d", len(events.Items))
	})
	if got := h.annotation(t, "late", annotations.IPAddress); got != "10.17.0.5" {
		t.Errorf("it has %s", got)
	}
}
