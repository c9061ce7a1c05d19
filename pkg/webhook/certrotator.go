package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/apihealth"
)

// The objects of config/webhook that a Keeper fills in.
const (
	// SecretName is that of the Secret with certificate, key and CA.
	SecretName = "woven-webhook" //nolint:gosec // a name
	// ConfigurationName is that of the ValidatingWebhookConfiguration.
	ConfigurationName = "woven"
)

const (
	requestTimeout = 8 * time.Second
	firstRetry     = time.Second
	lastRetry      = time.Minute
	lookAgain      = 12 * time.Hour // whether the certificate is about to end
)

// CertRotator makes the certificate that the webhook serves with, and tells the API
// server the CA to trust. All controllers of a cluster serve one certificate, which is in
// a Secret; whoever finds it missing or about to end makes a new one.
type CertRotator struct {
	Client    kubernetes.Interface
	Namespace string   // of the Secret
	Names     []string // DNS names and addresses that the API server asks by
	Clock     clock.WithTicker
	Health    *apihealth.Reporter
	Log       logr.Logger

	current atomic.Pointer[tls.Certificate]
}

// Certificate is for [tls.Config.GetCertificate].
func (k *CertRotator) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("no certificate yet")
}

// NeedLeaderElection is false: standbys answer, too.
func (k *CertRotator) NeedLeaderElection() bool { return false }

// Start keeps Secret and configuration until the context ends: it looks at them
// when they change, and now and then at the time.
func (k *CertRotator) Start(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	if err := k.watch(ctx, wake); err != nil {
		return err
	}
	delay, told := firstRetry, ""
	for {
		wait := lookAgain
		if err := k.keep(ctx); err == nil {
			delay, told = firstRetry, ""
		} else {
			wait, delay = delay, min(2*delay, lastRetry)
			told = k.tell(ctx, err, told)
		}
		timer := k.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// tell logs an error that was not the last one told, and returns what was told now.
func (k *CertRotator) tell(ctx context.Context, err error, told string) string {
	text := err.Error()
	if text != told && ctx.Err() == nil && !k.Health.Unreachable(err) {
		k.Log.Info("certificate of the webhook is not as it should be; trying again", "cause", text)
	}
	return text
}

// watch wakes when one of the two objects changes, whoever changes it.
func (k *CertRotator) watch(ctx context.Context, wake chan struct{}) error {
	only := func(name string) informers.SharedInformerOption {
		return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		})
	}
	secrets := informers.NewSharedInformerFactoryWithOptions(k.Client, 0, informers.WithNamespace(k.Namespace), only(SecretName))
	configurations := informers.NewSharedInformerFactoryWithOptions(k.Client, 0, only(ConfigurationName))
	nudge := func(any) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		secrets.Core().V1().Secrets().Informer(), configurations.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer(),
	} {
		if err := informer.SetWatchErrorHandlerWithContext(k.Health.WatchError); err != nil {
			return fmt.Errorf("watch webhook's objects: %w", err)
		}
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: nudge, UpdateFunc: func(_, o any) { nudge(o) }, DeleteFunc: nudge,
		})
		if err != nil {
			return fmt.Errorf("watch webhook's objects: %w", err)
		}
	}
	secrets.StartWithContext(ctx)
	configurations.StartWithContext(ctx)
	return nil
}

// keep brings certificate and configuration up to date.
func (k *CertRotator) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	secret, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Secret %s/%s, which is one of the manifests of the webhook: %w", k.Namespace, SecretName, err)
	}
	pair, why := parse(secret.Data, k.Names, k.Clock.Now())
	if why != nil {
		k.Log.Info("making a certificate for the webhook", "names", k.Names, "cause", why.Error())
		if secret.Data, err = issue(k.Names, secret.Data[keyCA], k.Clock.Now()); err != nil {
			return err
		}
		// Of two controllers at once, the second one is refused and reads what the first one wrote.
		if secret, err = secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write Secret %s/%s: %w", k.Namespace, SecretName, err)
		}
		if pair, err = parse(secret.Data, k.Names, k.Clock.Now()); err != nil {
			return fmt.Errorf("use the certificate just made: %w", err)
		}
	}
	k.current.Store(pair)
	return k.announce(ctx, secret.Data[keyCA])
}

// announce writes the CA into the configuration.
func (k *CertRotator) announce(ctx context.Context, ca []byte) error {
	configurations := k.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	o, err := configurations.Get(ctx, ConfigurationName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	patch, err := bundlePatch(o, ca)
	if err != nil || patch == nil {
		return err
	}
	if _, err := configurations.Patch(ctx, ConfigurationName, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	k.Log.Info("API server knows the webhook's CA", "configuration", ConfigurationName)
	return nil
}

// bundlePatch is a JSON patch (RFC 6902) of the CA of all webhooks, for this very
// version; nil if nothing differs.
func bundlePatch(o *admissionregistrationv1.ValidatingWebhookConfiguration, ca []byte) ([]byte, error) {
	patch := []map[string]any{{"op": "test", "path": "/metadata/resourceVersion", "value": o.ResourceVersion}}
	for i := range o.Webhooks {
		if !bytes.Equal(o.Webhooks[i].ClientConfig.CABundle, ca) {
			patch = append(patch, map[string]any{"op": "add", "path": fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), "value": ca})
		}
	}
	if len(patch) == 1 {
		return nil, nil
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return data, nil
}
