// Start: shims first, then the page. The static link to /basic stays until the page is there.
import './shims';
import './look/base.css';
import './look/desk.css';
import './look/orders.css';
import './look/point.css';
import { mount } from 'svelte';
import App from './views/App.svelte';

const host = document.getElementById('app');
if (host === null) throw new Error('index.html has no #app');
const waiting = host.firstElementChild;
mount(App, { target: host });
waiting?.remove();
